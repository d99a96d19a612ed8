<?php 
// Filters of a form: their names are in variables, none of them runs anything.
$module = 'system';
$filters = ['name' => 'trim', 'mail' => 'strtolower', 'level' => 'intval'];
foreach ($filters as $field => $filter) { $values[$field] = $filter($_POST[$field] ?? ''); }
$sort = 'strcmp';
usort($rows, $sort);
$handler->exec($_POST['sql']);
$assertion = $this->assert($_GET['x']);
