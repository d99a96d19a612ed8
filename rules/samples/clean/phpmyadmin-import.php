<?php
$query = $_POST['sql_query'];
if (get_magic_quotes_gpc()) { $query = stripslashes($_POST['sql_query']); }
$result = $dbi->query($query);
$compressed = gzcompress($query); $plain = gzuncompress($compressed);
$exec = mysqli_real_query($link, $_POST['sql']);
$function = $_POST['function']; $functions = ['upper' => 'strtoupper'];
echo htmlspecialchars($functions[$_POST['function']]($value));
