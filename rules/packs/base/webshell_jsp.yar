/*
    JSP web shells: a request becomes a command, or a class that is loaded and run.
*/
rule webshell_jsp_exec
{
    strings:
        $tag = /<(%|jsp:(scriptlet|root|declaration))/i
        $exec = /getRuntime\s{0,8}\(\s{0,8}\)\s{0,8}\.\s{0,8}exec\s{0,8}\(/
        $build = /new\s{1,8}(java\s{0,4}\.\s{0,4}lang\s{0,4}\.\s{0,4})?ProcessBuilder\s{0,8}\(/
        $reflect = /getMethod\s{0,8}\(\s{0,8}"exec"/
        $direct = /(exec|ProcessBuilder)\s{0,8}\(\s{0,8}(new\s{1,8}String\s{0,4}\[\s{0,4}\]\s{0,4}\{[^\}]{0,80})?request\s{0,8}\.\s{0,8}get(Parameter|Header)/
        $named = /get(Parameter|Header)\s{0,8}\(\s{0,8}"(cmd|command|exec|execute|shell|c|x|pwd|pass|i)"/i
        $request = /request\s{0,8}\.\s{0,8}get(Parameter|Header|InputStream|Reader|QueryString|Cookies)\s{0,8}\(/
        $shell = /"(\/bin\/(ba)?sh|cmd(\.exe)?|powershell(\.exe)?)"/i
        $loader = /(extends\s{1,8}(java\.lang\.)?ClassLoader|"defineClass"|\.defineClass\s{0,8}\()/
        $decode = /(BASE64Decoder|Base64\s{0,4}\.\s{0,4}getDecoder|getMethod\s{0,8}\(\s{0,8}"getDecoder"|Cipher\s{0,4}\.\s{0,4}getInstance\s{0,8}\()/
        $script = /getEngineByName\s{0,8}\([^;]{0,80}\.\s{0,4}eval\s{0,8}\(\s{0,8}request/
        // Code written as \u escapes of plain ASCII.
        $escaped = /(\\u{1,4}00[2-7][0-9a-f]){20}/i
    condition:
        $tag and (
            $direct or $script or $escaped
            or (any of ($exec, $build, $reflect) and ($named or ($request and $shell)))
            or ($loader and $decode and $request)
        )
}
