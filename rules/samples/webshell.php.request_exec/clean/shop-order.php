<?php
// Runs a fixed program with quoted arguments and reads the request elsewhere.
$page = isset($_GET['page']) ? (int) $_GET['page'] : 1;
$name = htmlspecialchars($_POST['name'] ?? '', ENT_QUOTES);
exec('convert ' . escapeshellarg($_FILES['photo']['tmp_name']) . ' -resize 200x200 ' . escapeshellarg($target), $out, $rc);
$rows = $pdo->exec($sql);
$stmt = $db->query('SELECT * FROM orders WHERE id = ' . (int) $_REQUEST['id']);
curl_exec($curl);
