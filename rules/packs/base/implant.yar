/*
    Implants of attack frameworks, which mostly live in memory only: the names of their commands, and the paths of the
    packages from which they are built. Words are written as expressions, so that neither this file nor the program that
    carries it is a hit.
*/
rule implant_c2_framework
{
    strings:
        $m_channel = /[c]ore_channel_(open|write|read|eof|interact|close)/i
        $m_session = /[c]ore_(negotiate_tlv_encryption|set_session_guid|machine_id|set_uuid)/i
        $m_transport = /[c]ore_(transport_(add|change|next|list|set_timeouts)|loadlib|migrate)/i
        $m_file = /[s]tdapi_fs_(chdir|delete_file|file_expand_path|getwd|ls|mkdir|stat|search)/i
        $m_process = /[s]tdapi_sys_process_(execute|get_processes|getpid|kill|attach|close)/i
        $m_config = /[s]tdapi_sys_config_(getuid|sysinfo|getenv|localtime|rev2self)/i
        $m_net = /[s]tdapi_net_(config_get_(interfaces|routes|netstat)|socket_tcp_shutdown|resolve_host)/i
        $s_package = /[g]ithub\.com\/bishopfox\/sliver\/(implant|protobuf)\//
        $s_message = /[s]liverpb\.[A-Z][A-Za-z]{2,40}/
    condition:
        5 of ($m_*) or all of ($s_*)
}
