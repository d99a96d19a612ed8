<?php 
define('MODE', 'exec');
$mode = 'exec';
$labels = array('system' => 'System', 'exec' => 'Run');
$id = $_GET['id'] ?? '';
$link = 'index.php?mode=' . $mode . '&id=' . urlencode($id);
$render = 'htmlspecialchars';
echo $render($link), $labels[$mode];
