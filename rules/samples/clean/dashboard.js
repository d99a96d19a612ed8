// <?php is not here
const rows = eval('(' + text + ')');
exec(request.body.name, done);
var mining = { method: "mining", pools: [1, 2] };
document.cookie = 'x=1'; // display:none; left:-9999px
