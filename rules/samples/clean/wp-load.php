<?php
/** Loads the parts of a blog, in the manner of WordPress. */
define('ABSPATH', __DIR__ . '/');
if (isset($_GET['preview']) && wp_verify_nonce($_GET['_wpnonce'], 'preview_' . $_GET['preview'])) { show_preview((int) $_GET['preview']); }
$action = $_REQUEST['action'] ?? '';
do_action('wp_ajax_' . $action, $_POST);
call_user_func_array($callback, $args);
call_user_func(array($this, 'render'), $_GET);
$data = json_decode(file_get_contents('php://input'), true);
$key = base64_decode(get_option('key'));
$agent = $_SERVER['HTTP_USER_AGENT'] ?? '';
if (stripos($agent, 'googlebot') !== false) { header('X-Robots-Tag: noarchive'); }
eval('?' . '>' . $template);
