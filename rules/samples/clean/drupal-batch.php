<?php
$batch = &batch_get();
$process_info = proc_open(['gzip', '-c'], [1 => ['pipe', 'w']], $pipes);
$handle = popen('/usr/sbin/sendmail -t', 'w');
fwrite($handle, $_POST['message']);
array_walk($_GET, 'sanitize');
$form_state['values']['code'] = $_POST['code'];
$out = php_eval($node->body);
preg_replace('/[^a-z]/e1', '', $_GET['x']);
preg_replace_callback('/x/', function ($m) { return $m[0]; }, $_POST['text']);
