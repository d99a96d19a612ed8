/*
    PHP web shells. Gaps between words allow blanks and comments; names match in any case; a leading `>` or `:` is
    refused, so that a method such as `$pdo->exec()` does not count.
*/
rule webshell_php_request_exec
{
    strings:
        $tag = /<\?(php|=|\s)/i
        // A function that runs code or commands, fed straight from the request, decoded or in a string.
        $run = /[^\w>:$](eval|system|exec|shell_exec|passthru|popen|proc_open|pcntl_exec)(\s|\/\*[^*]{0,40}\*\/|(\/\/|#)[^\n]{0,40}\n){0,6}\((\s|\/\*[^*]{0,40}\*\/|(\/\/|#)[^\n]{0,40}\n){0,6}(["\x27][^"\x27$;\r\n]{0,48}(["\x27](\s|\/\*[^*]{0,40}\*\/|(\/\/|#)[^\n]{0,40}\n){0,6}\.(\s|\/\*[^*]{0,40}\*\/|(\/\/|#)[^\n]{0,40}\n){0,6})?)?[@"\x27{( ]{0,6}((stripslashes|trim|base64_decode|gzinflate|gzuncompress|str_rot13|strrev|urldecode|rawurldecode|hex2bin|html_entity_decode)(\s|\/\*[^*]{0,40}\*\/|(\/\/|#)[^\n]{0,40}\n){0,6}\((\s|\/\*[^*]{0,40}\*\/|(\/\/|#)[^\n]{0,40}\n){0,6}[@"\x27{]{0,3}){0,4}\$(\{\s{0,4}["\x27]|GLOBALS\s{0,4}\[\s{0,4}["\x27])?_(GET|POST|REQUEST|COOKIE|SERVER["\x27\]\}]{0,3}\s{0,4}\[\s{0,4}["\x27]?(HTTP_|QUERY_|REQUEST_))/i
        $body = /[^\w>:$](eval|system|exec|shell_exec|passthru|popen|proc_open|pcntl_exec)(\s|\/\*[^*]{0,40}\*\/|(\/\/|#)[^\n]{0,40}\n){0,6}\([^;]{0,60}file_get_contents(\s|\/\*[^*]{0,40}\*\/|(\/\/|#)[^\n]{0,40}\n){0,6}\((\s|\/\*[^*]{0,40}\*\/|(\/\/|#)[^\n]{0,40}\n){0,6}["\x27]php:\/\/input/i
        $assert = /[^\w>:$]assert(\s|\/\*[^*]{0,40}\*\/|(\/\/|#)[^\n]{0,40}\n){0,6}\((\s|\/\*[^*]{0,40}\*\/|(\/\/|#)[^\n]{0,40}\n){0,6}[@"\x27{( ]{0,6}((stripslashes|trim|base64_decode|gzinflate|gzuncompress|str_rot13|strrev|urldecode|rawurldecode|hex2bin|html_entity_decode)(\s|\/\*[^*]{0,40}\*\/|(\/\/|#)[^\n]{0,40}\n){0,6}\((\s|\/\*[^*]{0,40}\*\/|(\/\/|#)[^\n]{0,40}\n){0,6}[@"\x27{]{0,3}){0,4}\$(\{\s{0,4}["\x27]|GLOBALS\s{0,4}\[\s{0,4}["\x27])?_(GET|POST|REQUEST|COOKIE|SERVER["\x27\]\}]{0,3}\s{0,4}\[\s{0,4}["\x27]?(HTTP_|QUERY_|REQUEST_))[^;()]{0,48}\)/i
        // The request names the function, which is then called or handed to one that calls it.
        $called = /\$(\{\s{0,4}["\x27])?_(GET|POST|REQUEST|COOKIE)["\x27\}]{0,2}(\s|\/\*[^*]{0,40}\*\/|(\/\/|#)[^\n]{0,40}\n){0,6}(\[[^\]\r\n]{1,40}\]|\{[^\}\r\n]{1,40}\})(\s|\/\*[^*]{0,40}\*\/|(\/\/|#)[^\n]{0,40}\n){0,6}\(/i
        $callback = /[^\w>:$](call_user_func(_array)?|array_map|create_function(\s|\/\*[^*]{0,40}\*\/|(\/\/|#)[^\n]{0,40}\n){0,6}\([^,;]{0,40},)(\s|\/\*[^*]{0,40}\*\/|(\/\/|#)[^\n]{0,40}\n){0,6}\(?(\s|\/\*[^*]{0,40}\*\/|(\/\/|#)[^\n]{0,40}\n){0,6}["\x27@]{0,2}\$(\{\s{0,4}["\x27]|GLOBALS\s{0,4}\[\s{0,4}["\x27])?_(GET|POST|REQUEST|COOKIE|SERVER["\x27\]\}]{0,3}\s{0,4}\[\s{0,4}["\x27]?(HTTP_|QUERY_|REQUEST_))/i
        $mapped = /[^\w>:$]array_(map(\s|\/\*[^*]{0,40}\*\/|(\/\/|#)[^\n]{0,40}\n){0,6}\(|(filter|walk|reduce|walk_recursive)(\s|\/\*[^*]{0,40}\*\/|(\/\/|#)[^\n]{0,40}\n){0,6}\([^;,]{0,60},)(\s|\/\*[^*]{0,40}\*\/|(\/\/|#)[^\n]{0,40}\n){0,6}["\x27](assert|system|exec|shell_exec|passthru)["\x27]/i
        $replace = /preg_replace(\s|\/\*[^*]{0,40}\*\/|(\/\/|#)[^\n]{0,40}\n){0,6}\((\s|\/\*[^*]{0,40}\*\/|(\/\/|#)[^\n]{0,40}\n){0,6}["\x27]\W[^"\x27]{0,60}\W[imsxu]{0,5}e[imsxu]{0,5}["\x27](\s|\/\*[^*]{0,40}\*\/|(\/\/|#)[^\n]{0,40}\n){0,6},(\s|\/\*[^*]{0,40}\*\/|(\/\/|#)[^\n]{0,40}\n){0,6}["\x27@]{0,2}\$(\{\s{0,4}["\x27]|GLOBALS\s{0,4}\[\s{0,4}["\x27])?_(GET|POST|REQUEST|COOKIE|SERVER["\x27\]\}]{0,3}\s{0,4}\[\s{0,4}["\x27]?(HTTP_|QUERY_|REQUEST_))/i
        $ticks = /(echo|print|return|[=(])\s{0,4}`[^`$\r\n]{0,40}\{?\$(\{\s{0,4}["\x27]|GLOBALS\s{0,4}\[\s{0,4}["\x27])?_(GET|POST|REQUEST|COOKIE|SERVER["\x27\]\}]{0,3}\s{0,4}\[\s{0,4}["\x27]?(HTTP_|QUERY_|REQUEST_))[^`\r\n]{0,60}`/i
        // A parameter with a shell's name, run a line or two later.
        $stored = /=(\s|\/\*[^*]{0,40}\*\/|(\/\/|#)[^\n]{0,40}\n){0,6}@?((stripslashes|trim|base64_decode|gzinflate|gzuncompress|str_rot13|strrev|urldecode|rawurldecode|hex2bin|html_entity_decode)(\s|\/\*[^*]{0,40}\*\/|(\/\/|#)[^\n]{0,40}\n){0,6}\((\s|\/\*[^*]{0,40}\*\/|(\/\/|#)[^\n]{0,40}\n){0,6}[@"\x27{]{0,3}){0,4}\$_(GET|POST|REQUEST|COOKIE)(\s|\/\*[^*]{0,40}\*\/|(\/\/|#)[^\n]{0,40}\n){0,6}\[(\s|\/\*[^*]{0,40}\*\/|(\/\/|#)[^\n]{0,40}\n){0,6}["\x27]?(cmd|command|exec|execute|shell|code|run|ev|c|x|z[0-9])["\x27]?(\s|\/\*[^*]{0,40}\*\/|(\/\/|#)[^\n]{0,40}\n){0,6}\][^\x00]{0,160}[^\w>:$](eval|system|exec|shell_exec|passthru|popen|proc_open|assert)(\s|\/\*[^*]{0,40}\*\/|(\/\/|#)[^\n]{0,40}\n){0,6}\((\s|\/\*[^*]{0,40}\*\/|(\/\/|#)[^\n]{0,40}\n){0,6}[@"\x27{( ]{0,4}\$\w/i
        // The request names a file and its content.
        $dropper = /[^\w>:$](file_put_contents|fwrite)(\s|\/\*[^*]{0,40}\*\/|(\/\/|#)[^\n]{0,40}\n){0,6}\((\s|\/\*[^*]{0,40}\*\/|(\/\/|#)[^\n]{0,40}\n){0,6}@?\$_(GET|POST|REQUEST|COOKIE)[^;,]{0,60},[^;]{0,60}\$_(GET|POST|REQUEST|COOKIE)/i
    condition:
        $tag and any of ($run, $body, $assert, $called, $callback, $mapped, $replace, $ticks, $stored, $dropper)
}

rule webshell_php_obfuscated
{
    strings:
        $tag = /<\?(php|=|\s)/i
        // eval over two decoders, or over one and a text that can hold a command.
        $chain = /[^\w>:$](eval|assert)(\s|\/\*[^*]{0,40}\*\/|(\/\/|#)[^\n]{0,40}\n){0,6}\((\s|\/\*[^*]{0,40}\*\/|(\/\/|#)[^\n]{0,40}\n){0,6}(["\x27]\?>["\x27](\s|\/\*[^*]{0,40}\*\/|(\/\/|#)[^\n]{0,40}\n){0,6}\.(\s|\/\*[^*]{0,40}\*\/|(\/\/|#)[^\n]{0,40}\n){0,6})?[@( ]{0,4}(base64_decode|gzinflate|gzuncompress|gzdecode|str_rot13|strrev|convert_uudecode|rawurldecode|urldecode|hex2bin)(\s|\/\*[^*]{0,40}\*\/|(\/\/|#)[^\n]{0,40}\n){0,6}\((\s|\/\*[^*]{0,40}\*\/|(\/\/|#)[^\n]{0,40}\n){0,6}[@( ]{0,4}(base64_decode|gzinflate|gzuncompress|gzdecode|str_rot13|strrev|convert_uudecode|rawurldecode|urldecode|hex2bin)(\s|\/\*[^*]{0,40}\*\/|(\/\/|#)[^\n]{0,40}\n){0,6}\(/i
        $long = /[^\w>:$](eval|assert)(\s|\/\*[^*]{0,40}\*\/|(\/\/|#)[^\n]{0,40}\n){0,6}\((\s|\/\*[^*]{0,40}\*\/|(\/\/|#)[^\n]{0,40}\n){0,6}(["\x27]\?>["\x27](\s|\/\*[^*]{0,40}\*\/|(\/\/|#)[^\n]{0,40}\n){0,6}\.(\s|\/\*[^*]{0,40}\*\/|(\/\/|#)[^\n]{0,40}\n){0,6})?[@( ]{0,4}(base64_decode|gzinflate|gzuncompress|gzdecode|str_rot13|strrev|convert_uudecode|rawurldecode|urldecode|hex2bin)(\s|\/\*[^*]{0,40}\*\/|(\/\/|#)[^\n]{0,40}\n){0,6}\((\s|\/\*[^*]{0,40}\*\/|(\/\/|#)[^\n]{0,40}\n){0,6}["\x27][A-Za-z0-9+\/=%\\\s]{24}/i
        // The decoder hides behind a variable.
        $variable = /[^\w>:$](eval|assert)(\s|\/\*[^*]{0,40}\*\/|(\/\/|#)[^\n]{0,40}\n){0,6}\((\s|\/\*[^*]{0,40}\*\/|(\/\/|#)[^\n]{0,40}\n){0,6}[@( ]{0,4}\$\w{1,24}(\s|\/\*[^*]{0,40}\*\/|(\/\/|#)[^\n]{0,40}\n){0,6}\((\s|\/\*[^*]{0,40}\*\/|(\/\/|#)[^\n]{0,40}\n){0,6}(["\x27][A-Za-z0-9+\/=]{200}|\$\w{1,24}(\s|\/\*[^*]{0,40}\*\/|(\/\/|#)[^\n]{0,40}\n){0,6}\()/i
        // Names of decoders written as escapes, or cut and joined again.
        $escaped = /(\\x62\\x61\\x73\\x65\\x36\\x34|\\x65\\x76\\x61\\x6c|\\x67\\x7a\\x69\\x6e\\x66|\\142\\141\\163\\145\\0?66\\0?64|\\145\\166\\141\\154)/i
        $joined = /(\bb["\x27]\s{0,4}\.\s{0,4}["\x27]ase64_|\bba["\x27]\s{0,4}\.\s{0,4}["\x27]se64_|\bbas["\x27]\s{0,4}\.\s{0,4}["\x27]e64_|\bbase["\x27]\s{0,4}\.\s{0,4}["\x27]64_|\bbase6["\x27]\s{0,4}\.\s{0,4}["\x27]4_|\bbase64["\x27]\s{0,4}\.\s{0,4}["\x27]_dec|\bbase64_["\x27]\s{0,4}\.\s{0,4}["\x27]de|\bgzin["\x27]\s{0,4}\.\s{0,4}["\x27]flate|\bgz["\x27]\s{0,4}\.\s{0,4}["\x27]inflate|\bass["\x27]\s{0,4}\.\s{0,4}["\x27]ert["\x27]|\bstr_["\x27]\s{0,4}\.\s{0,4}["\x27]rot13|\bstr_rot["\x27]\s{0,4}\.\s{0,4}["\x27]13)/i
    condition:
        $tag and any of ($chain, $long, $variable, $escaped, $joined)
}

/*
    The function's name is a string, so that no call of it is written anywhere. Names that are cut up, escaped or written as
    numbers are whole again in the [decoded] form of a script, which is scanned too.
*/
rule webshell_php_named_call
{
    strings:
        $tag = /<\?(php|=|\s)/i
        // The name goes into a variable, which is called with the request a little later.
        $called = /=\s{0,8}\(?(["\x27]\\{0,2}(system|exec|shell_exec|passthru|popen|proc_open|pcntl_exec|assert)["\x27]|strrev\s{0,8}\(\s{0,8}["\x27](metsys|cexe|cexe_llehs|urhtssap|nepop|nepo_corp|cexe_ltncp|tressa)["\x27]\s{0,8}\)|str_rot13\s{0,8}\(\s{0,8}["\x27](flfgrz|rkrp|furyy_rkrp|cnffgueh|cbcra|cebp_bcra|cpagy_rkrp|nffreg)["\x27]\s{0,8}\)|base64_decode\s{0,8}\(\s{0,8}["\x27](c3lzdGVt|ZXhlYw|c2hlbGxfZXhlYw|cGFzc3RocnU|cG9wZW4|cHJvY19vcGVu|cGNudGxfZXhlYw|YXNzZXJ0)={0,2}["\x27]\s{0,8}\))\)?\s{0,8};([^\x00]{0,120}[^\w>:$])?\$\w{1,40}\s{0,8}\(\s{0,8}[@"\x27{(]{0,3}((stripslashes|trim|base64_decode|str_rot13|strrev|urldecode|rawurldecode|hex2bin)\s{0,8}\(\s{0,8}){0,2}\$_(GET|POST|REQUEST|COOKIE)/i
        // The name itself is called.
        $literal = /["\x27](system|exec|shell_exec|passthru|popen|proc_open|pcntl_exec|assert)["\x27]\s{0,8}\)?\s{0,8}\(\s{0,8}[@"\x27{(]{0,3}((stripslashes|trim|base64_decode|str_rot13|strrev|urldecode|rawurldecode|hex2bin)\s{0,8}\(\s{0,8}){0,2}\$_(GET|POST|REQUEST|COOKIE)/i
        // The name lies in an array, an element of which is called with the request.
        $element = /["\x27](system|exec|shell_exec|passthru|popen|proc_open|pcntl_exec|assert)["\x27]\s{0,8}[,\])][^\x00]{0,120}\$\w{1,40}\s{0,8}(\[[^\]\r\n]{1,40}\]|\{[^\}\r\n]{1,40}\})\s{0,8}\(\s{0,8}[@"\x27{(]{0,3}((stripslashes|trim|base64_decode|str_rot13|strrev|urldecode|rawurldecode|hex2bin)\s{0,8}\(\s{0,8}){0,2}\$_(GET|POST|REQUEST|COOKIE)/i
        // A parameter with a shell's name goes into a variable too, before or after the function's name.
        $stored_after = /=\s{0,8}\(?(["\x27]\\{0,2}(system|exec|shell_exec|passthru|popen|proc_open|pcntl_exec|assert)["\x27]|strrev\s{0,8}\(\s{0,8}["\x27](metsys|cexe|cexe_llehs|urhtssap|nepop|nepo_corp|cexe_ltncp|tressa)["\x27]\s{0,8}\)|str_rot13\s{0,8}\(\s{0,8}["\x27](flfgrz|rkrp|furyy_rkrp|cnffgueh|cbcra|cebp_bcra|cpagy_rkrp|nffreg)["\x27]\s{0,8}\)|base64_decode\s{0,8}\(\s{0,8}["\x27](c3lzdGVt|ZXhlYw|c2hlbGxfZXhlYw|cGFzc3RocnU|cG9wZW4|cHJvY19vcGVu|cGNudGxfZXhlYw|YXNzZXJ0)={0,2}["\x27]\s{0,8}\))\)?\s{0,8};[^\x00]{0,200}=\s{0,8}@?((stripslashes|trim|base64_decode|str_rot13|strrev|urldecode|rawurldecode|hex2bin)\s{0,8}\(\s{0,8}){0,2}\$_(GET|POST|REQUEST|COOKIE)\s{0,8}\[\s{0,8}["\x27]?(cmd|command|exec|execute|shell|code|run|ev|c|x|z[0-9]|[0-9])["\x27]?\s{0,8}\][^\x00]{0,160}[^\w>:$]\$\w{1,40}\s{0,8}\(\s{0,8}[@"\x27{(]{0,3}\$\w/i
        $stored_before = /=\s{0,8}@?((stripslashes|trim|base64_decode|str_rot13|strrev|urldecode|rawurldecode|hex2bin)\s{0,8}\(\s{0,8}){0,2}\$_(GET|POST|REQUEST|COOKIE)\s{0,8}\[\s{0,8}["\x27]?(cmd|command|exec|execute|shell|code|run|ev|c|x|z[0-9]|[0-9])["\x27]?\s{0,8}\][^\x00]{0,200}=\s{0,8}\(?(["\x27]\\{0,2}(system|exec|shell_exec|passthru|popen|proc_open|pcntl_exec|assert)["\x27]|strrev\s{0,8}\(\s{0,8}["\x27](metsys|cexe|cexe_llehs|urhtssap|nepop|nepo_corp|cexe_ltncp|tressa)["\x27]\s{0,8}\)|str_rot13\s{0,8}\(\s{0,8}["\x27](flfgrz|rkrp|furyy_rkrp|cnffgueh|cbcra|cebp_bcra|cpagy_rkrp|nffreg)["\x27]\s{0,8}\)|base64_decode\s{0,8}\(\s{0,8}["\x27](c3lzdGVt|ZXhlYw|c2hlbGxfZXhlYw|cGFzc3RocnU|cG9wZW4|cHJvY19vcGVu|cGNudGxfZXhlYw|YXNzZXJ0)={0,2}["\x27]\s{0,8}\))\)?\s{0,8};([^\x00]{0,160}[^\w>:$])?\$\w{1,40}\s{0,8}\(\s{0,8}[@"\x27{(]{0,3}\$\w/i
    condition:
        $tag and any of ($called, $literal, $element, $stored_after, $stored_before)
}
