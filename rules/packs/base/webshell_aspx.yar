/*
    ASPX and classic ASP web shells: a request becomes code, a command, or an assembly that is loaded.
*/
rule webshell_aspx_exec
{
    strings:
        $tag = /<(%|script[^>]{0,80}runat\s{0,4}=)/i
        // Data binding writes Eval("Name"); here the request itself is evaluated.
        $eval = /[^\w.]eval\s{0,8}\(\s{0,8}[A-Za-z0-9_.()\s]{0,120}Request\s{0,8}(\.\s{0,8}(Item|Form|QueryString|Headers|Params|Cookies)\s{0,8})?[\[(]/i
        $vbscript = /(eval|execute|executeglobal)\s{0,8}\(?\s{0,8}request\s{0,8}(\.\s{0,8}(form|querystring|item))?\s{0,8}\(\s{0,8}["\x27]/i
        $process = /(Process\s{0,8}\.\s{0,8}Start\s{0,8}\(|ProcessStartInfo|new\s{1,8}(System\s{0,4}\.\s{0,4}Diagnostics\s{0,4}\.\s{0,4})?Process\s{0,8}\()/i
        $command = /["\x27@\\](cmd(\.exe)?|powershell(\.exe)?)["\x27]/i
        $load = /Assembly\s{0,8}\.\s{0,8}Load\s{0,8}\([^;]{0,200}(Request\s{0,8}[.\[]|FromBase64String|TransformFinalBlock|Decrypt)/i
        $object = /CreateObject\s{0,8}\(\s{0,8}"W(script|"\s{0,4}[&+]\s{0,4}"script)\.shell/i
        $request = /Request\s{0,8}(\.\s{0,8}(Item|Form|QueryString|Headers|Params|Cookies|InputStream|BinaryRead)|\[|\()/i
        $control = /<asp:(TextBox|Button)[^>]{0,120}runat/i
    condition:
        $tag and (
            $eval or $vbscript
            or ($process and $command and ($request or $control))
            or ($load and $request)
            or ($object and $request)
        )
}
