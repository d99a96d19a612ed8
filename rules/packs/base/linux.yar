/*
    What attackers leave on Linux servers: miners, reverse shells, and libraries that hide or open doors.
    Words are written as expressions, so that neither this file nor the program that carries it is a hit.
*/
import "elf"

rule miner_linux_xmrig
{
    strings:
        $url = /stratum[2]?\+(tcp|ssl|tls|udp)[a-z0-9]{0,4}:\/\/[\w.\-\[\]:]{4,80}/i
        $donate = /["\x27\-]donate-(level|over-proxy)["\x27=\s]/
        $algorithm = /["\x27=\s](rx\/(0|wow|arq|graft|sfx)|cn\/(r|half|gpu|upx2)|randomx|cryptonight[\w\/\-]{0,12}|kawpow|ghostrider)["\x27\s]/i
        $wallet = /[^0-9A-Za-z]4[0-9AB][1-9A-HJ-NP-Za-km-z]{93}[^0-9A-Za-z]/
        $pools = /"pools"\s{0,8}:\s{0,8}\[/
        $cpu = /"(huge-pages|cpu-affinity|max-threads-hint|rig-id|randomx)"\s{0,8}:/
        $command = /[\/\s;&](xmrig|xmr-stak|minerd|cpuminer|ccminer)[^\n]{0,200}\s(-o|--url)[\s=]{1,2}[^\s]{4,80}[^\n]{0,200}\s(-u|--user|--wallet)[\s=]/i
        $login = /"method"\s{0,4}:\s{0,4}"login"[^\x00]{0,400}"(agent|algo|rigid)"\s{0,4}:/
        $subscribe = /"method"\s{0,4}:\s{0,4}"mining\.(subscribe|authorize)"/
        $e1 = /[x]mrig/i
        $e2 = /[r]andomx_(create|calculate|init|alloc)/
        $e3 = /[c]ryptonight/i
        $e4 = /[d]onate-level/
        $e5 = /[s]tratum\+(tcp|ssl)/
        $e6 = /[n]icehash/
    condition:
        $login or $subscribe or $command
        or ($url and any of ($donate, $algorithm, $wallet))
        or ($pools and $cpu and any of ($url, $donate, $wallet))
        or (uint32(0) == 0x464c457f and 3 of ($e*))
}

rule shell_reverse_script
{
    strings:
        $bash = /(ba|z|k|da)?sh\s{1,4}-i\s{0,4}[0-9&]{0,2}[<>]{1,2}&?\s{0,4}\/dev\/(tcp|udp)\/[^\s\/]{1,64}\/[\w${}"]{1,16}/
        $bash_fd = /exec\s{1,4}[0-9]{1,3}<>\s{0,4}\/dev\/(tcp|udp)\/[^\s\/]{1,64}\/[^\x00]{1,200}(\$\w{1,16}\s{1,4}2>&|(ba|z|k|da)?sh\s{1,4}(-i\s{1,4})?(0)?<&\s{0,2}[0-9])/
        $python_socket = /socket\s{0,4}\.\s{0,4}socket\s{0,4}\(/
        $python_dup = /dup2\s{0,4}\(\s{0,4}\w{1,16}\s{0,4}\.\s{0,4}fileno\s{0,4}\(\s{0,4}\)\s{0,4},\s{0,4}\w{1,8}\s{0,4}\)/
        $python_shell = /(spawn|call|run|Popen|check_call|check_output|system|execl|execv|execvp)\s{0,4}\(\s{0,4}\[?\s{0,4}[\\"\x27]{1,3}(\/usr)?(\/bin\/)?(ba|z|k|da)?sh[\\"\x27 ]/
        $perl = /socket\s{0,4}\(\s{0,4}\w{1,16}\s{0,4},\s{0,4}PF_INET[^\x00]{0,400}STDIN\s{0,4},\s{0,4}[\\"\x27]{1,3}>&[^\x00]{0,300}exec\s{0,4}[({]?\s{0,4}[\\"\x27]{1,3}(\/bin\/)?(ba|z|k|da)?sh/
        $perl_io = /IO::Socket::INET[^\x00]{0,300}(STDIN\s{0,4}->\s{0,4}fdopen|open\s{0,4}\(?\s{0,4}STDIN)[^\x00]{0,300}(\/bin\/(ba|z|k|da)?sh|system\s{0,4}\$_)/
        $netcat = /(^|[\s\/;&|("\x27`])(nc|ncat|netcat)(\.traditional|\.openbsd)?\s[^\n;|#]{0,80}\s?(-[a-zA-Z]{0,6}[ec]|--exec|--sh-exec)\s{1,4}["\x27]?(\/usr)?\/bin\/(ba|z|k|da)?sh/
        $fifo = /mkfifo\s{1,4}[^\n;&]{1,60}[;&][^\n]{0,120}(ba|z|k|da)?sh\s{1,4}-i[^\n]{0,60}\|\s{0,4}(nc|ncat|netcat|openssl\s{1,4}s_client|telnet)\s/
        $php = /fsockopen\s{0,4}\([^\n;]{1,80}\)\s{0,4};[^\n]{0,160}(exec|system|passthru|proc_open|popen)\s{0,4}\(\s{0,4}["\x27](\/bin\/)?(ba|z|k|da)?sh\s{1,4}-i\s{0,4}<&/
        $ruby = /TCPSocket\s{0,4}\.\s{0,4}(new|open)\s{0,4}\([^\n]{0,200}exec\s{0,4}[({]?\s{0,4}(sprintf\s{0,4}\(?\s{0,4})?["\x27](\/bin\/)?(ba|z|k|da)?sh\s{1,4}-i/
        $socat = /socat\s[^\n]{0,120}(exec:["\x27]?[^\n]{0,20}sh[^\n]{0,80}(tcp|openssl):[^\s]{3,80}|(tcp|tcp-connect|tcp4|openssl|openssl-connect):[^\s]{3,80}\s{1,4}exec:["\x27]?[^\n]{0,20}sh)/i
    condition:
        any of ($bash*, $perl*, $netcat, $fifo, $php, $ruby, $socat)
        or ($python_socket and $python_dup and $python_shell)
}

/*
    A library that names the loader's preload list and offers the C library's own functions: user-mode rootkits.
    The real C library offers them too, but does not name the list; the real loader names it, but offers none.
*/
rule backdoor_elf_preload
{
    strings:
        $list = "/etc/ld.so.preload" xor
    condition:
        uint32(0) == 0x464c457f and $list
        and elf.type == elf.ET_DYN
        and for any s in elf.dynsym : (
            s.shndx != 0 and s.type == elf.STT_FUNC
            and s.name matches /^(readdir(64)?(_r)?|getdents(64)?|__l?xstat(64)?|lstat(64)?|fopen(64)?|accept4?|pam_authenticate|pam_sm_authenticate|getpwnam(_r)?|execve|unlinkat?|rename|write|kill)$/
        )
}

/*
    A PAM module that writes passwords to a hidden file, or formats name and password together.
*/
rule backdoor_elf_pam
{
    strings:
        $hidden = /\x00(\/var)?\/(tmp|dev\/shm|run|log|lib|cache|usr\/(lib|share|include|sbin)|etc)\/(\w{1,24}\/){0,3}\.[\w.\-]{2,40}\x00/
        $format = /(user(name)?|login|usr|host|name)\s?[:=]\s?%s[^\x00]{0,24}(pass(word|wd)?|pwd|pw)\s?[:=]\s?%s/i
        $both = /\x00[^\x00%]{0,16}%s\s?[:\/|]\s?%s[\s@%s]{0,8}\n\x00/
    condition:
        uint32(0) == 0x464c457f
        and ($format or ($hidden and $both))
        and for any s in elf.dynsym : (
            s.shndx != 0 and s.name matches /^(pam_sm_authenticate|pam_authenticate)$/
        )
}
