<?php
function evaluate($rule) { return eval('return ' . $rule . ';'); }   // rules come from the developer
$clean = array_filter($_GET['tags'], 'strlen');
$safe = array_map('trim', explode(',', ini_get('disable_functions')));
if (!in_array('exec', $safe)) { exec('git rev-parse HEAD', $head); }
assert(isset($_SERVER['argc']) && is_array($_SERVER['argv']));
file_put_contents($cacheFile, serialize($_POST));
usort($rows, 'compare_rows');
$method = 'action_' . preg_replace('/[^a-z]/', '', $_GET['do']);
if (method_exists($this, $method)) { $this->$method($_POST['id']); }
