/*
    Ransomware on VMware ESXi: the note, and the program or script that stops machines to encrypt their disks.
*/
rule ransom_esxi_note
{
    strings:
        $encrypted = /(your|all)\s[^\n.]{0,80}(files?|data|servers?|machines?|vms?|disks?|network|infrastructure|esxi|hosts?)[^\n.]{0,40}\s(has|have|had|is|are|was|were|been)\s[^\n.]{0,40}encrypted/i
        $machines = /(esxi|vmware|vsphere|vcenter|\.vmdk|virtual\s{1,2}(machine|server|disk)|hypervisor|datastore)/i
        $contact = /([a-z2-7]{16,56}\.onion|tor\s{1,2}browser|tox[_\s]{0,2}id|session\s{1,2}id|\bqtox\b|protonmail|onionmail|tutanota|cock\.li)/i
        $pay = /(bitcoin|\bbtc\b|monero|\bxmr\b|wallet|ransom|payment|send\s{1,2}money|pay\s)/i
        $warn = /(do\s{0,2}n[o\x27]t\s{1,2}(try|rename|modify|delete|restart|contact|turn|shut|use)|(within|in|after)\s{1,2}\w{1,6}\s{1,2}(days?|hours?)|(publish|leak|sell|expose)\w{0,3}\s[^\n]{0,40}(data|files|information))/i
        $ours = /(contact\s{1,2}us|we\s{1,2}(have\s{1,2})?(hacked|encrypted|stolen|downloaded|exfiltrated|will)|by\s{1,2}us|our\s{1,2}(team|service|support|decrypt))/i
    condition:
        filesize < 256KB and all of them
}

rule ransom_esxi_encryptor
{
    strings:
        $kill = /esxcli\s{1,4}(--?f[a-z]{0,8}[=\s]\s{0,2}\w{1,10}\s{1,4})?vm\s{1,4}process\s{1,4}kill/
        $power = /vim-cmd\s{1,4}vmsvc\/(power\.off|snapshot\.removeall)/
        $welcome = /esxcli\s{1,4}system\s{1,4}welcomemsg\s{1,4}set/
        $page = /\/usr\/lib\/vmware\/hostd\/docroot\/ui\/index\.html/
        $disk1 = /[.]vmdk/
        $disk2 = /[.]vmx\W/
        $disk3 = /[.](vmsn|vswp|vmem|vmsd|nvram|vmss)/
        $disk4 = /[\/]vmfs\/volumes/
        $tool = /(nohup\s|\.\/|\/tmp\/|chmod\s{1,4}\S{1,8}\s)[\w.\/\-]{0,24}(encrypt|locker|crypt)[\w.\-]{0,16}/i
        $openssl = /openssl\s{1,4}(enc|rsautl|pkeyutl)\s{1,4}-/
        $script = /(#!\/bin\/|[\n;]\s{0,24}(for\s{1,4}\w{1,24}\s{1,4}in\s|while\s{1,4}(IFS=\s{0,2})?read\s|find\s{1,4}["$\/])|\|\s{0,4}while\s{1,4}read\s|^for\s)/
        $cipher = /(chacha20|sosemanuk|salsa20|hc-?128|curve25519|x25519|RSA_public_encrypt|ntruencrypt|rabbit_)/i
        $words = /(encrypt(ed|ing)?[\s_]{0,2}(file|vm|disk|percent|done|only|finished)|how\s{1,2}to\s{1,2}restore|[a-z2-7]{16,56}\.onion|\.(encrypt|locked|crypt)(ed)?\W)/i
    condition:
        ($kill or $power) and (
            ($script and 2 of ($disk*) and any of ($tool, $openssl, $words))
            or (uint32(0) == 0x464c457f and 2 of ($disk*) and any of ($cipher, $words))
            or ($script and any of ($disk*) and any of ($welcome, $page) and $words)
        )
}
