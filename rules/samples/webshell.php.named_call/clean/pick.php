<?php 
// Looks which function the host allows, and runs a fixed program with it; the request is only shown.
$candidates = ['exec', 'shell_exec', 'system', 'passthru'];
$disabled = array_map('trim', explode(',', ini_get('disable_functions')));
$runner = 'exec';
if (!function_exists($runner) || in_array($runner, $disabled, true)) { $runner = null; }
if ($runner !== null) { $runner('git rev-parse HEAD', $head); }
$page = isset($_GET['page']) ? (int) $_GET['page'] : 1;
echo htmlspecialchars($_GET['title'] ?? '');
