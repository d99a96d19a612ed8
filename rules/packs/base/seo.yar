/*
    Gambling pages and links put into Vietnamese sites. Each word matches with and without its marks, precomposed or
    combining, in upper case, and as HTML entities; the names of the patterns say what the words mean. News about
    gambling uses the same words: what counts is many of them together with brands and calls to sign up, or a block
    that readers cannot see.
*/
rule seo_gambling_vi
{
    strings:
        $html = /<(a|html|head|title|meta|body|div|h1)[\s>]/i
        $hidden = /(style\s{0,4}=\s{0,4}["\x27][^"\x27>]{0,120}(display\s{0,4}:\s{0,4}none|visibility\s{0,4}:\s{0,4}hidden|(left|top|text-indent)\s{0,4}:\s{0,4}-[0-9]{3,5}|font-size\s{0,4}:\s{0,4}0[;"\x27p\s]|opacity\s{0,4}:\s{0,4}0[;"\x27\s])|<marquee[^>]{0,80}(height|width)\s{0,4}=\s{0,4}["\x27]?[01]["\x27\s>])/i
        $outward = /<a\s[^>]{0,120}href\s{0,4}=\s{0,4}["\x27]?(https?:)?\/\/[^>\s]{4,200}/i
        $cloak = /(HTTP_USER_AGENT|navigator\.userAgent|\$http_user_agent)[^\x00]{0,300}(g[o]oglebot|b[i]ngbot|c[o]ccocbot)/i
        $word_bookmaker = /[^0-9a-z]nh(&(agrave|#224|#xe0);|a\xCC\x80|\xC3\xA0|\xC3\x80|a)[\s\-+_]{1,3}c(&(aacute|#225|#xe1);|a\xCC\x81|\xC3\xA1|\xC3\x81|a)i[^0-9a-z\xC3-\xC6\xCC\xCD\xE1]/i
        $word_match_bet = /[^0-9a-z]c(&(aacute|#225|#xe1);|a\xCC\x81|\xC3\xA1|\xC3\x81|a)[\s\-+_]{1,3}(&(#273|#x111);|\xC4\x91|\xC4\x90|d)(\xE1\xBB\x8D\xCC\x82|\xE1\xBB\x8C\xCC\x82|o\xCC\xA3\xCC\x82|&(#7897|#x1ed9);|\xE1\xBB\x99|\xE1\xBB\x98|o)[^0-9a-z\xC3-\xC6\xCC\xCD\xE1]/i
        $word_wager = /[^0-9a-z]c(&(aacute|#225|#xe1);|a\xCC\x81|\xC3\xA1|\xC3\x81|a)[\s\-+_]{1,3}c(&(#432|#x1b0);|u\xCC\x9B|\xC6\xB0|\xC6\xAF|u)(o\xCC\x9B\xCC\xA3|\xC6\xA1\xCC\xA3|\xC6\xA0\xCC\xA3|&(#7907|#x1ee3);|\xE1\xBB\xA3|\xE1\xBB\xA2|o)c[^0-9a-z\xC3-\xC6\xCC\xCD\xE1]/i
        $word_odds = /[^0-9a-z]soi[\s\-+_]{1,3}k(&(egrave|#232|#xe8);|e\xCC\x80|\xC3\xA8|\xC3\x88|e)o[^0-9a-z\xC3-\xC6\xCC\xCD\xE1]/i
        $word_dice_high_low = /[^0-9a-z]t(&(agrave|#224|#xe0);|a\xCC\x80|\xC3\xA0|\xC3\x80|a)i[\s\-+_]{1,3}x(&(#7881|#x1ec9);|\xE1\xBB\x89|\xE1\xBB\x88|i\xCC\x89|i)u[^0-9a-z\xC3-\xC6\xCC\xCD\xE1]/i
        $word_coin_dish = /[^0-9a-z]x(&(oacute|#243|#xf3);|o\xCC\x81|\xC3\xB3|\xC3\x93|o)c[\s\-+_]{1,3}(&(#273|#x111);|\xC4\x91|\xC4\x90|d)(&(#297|#x129);|i\xCC\x83|\xC4\xA9|\xC4\xA8|i)a[^0-9a-z\xC3-\xC6\xCC\xCD\xE1]/i
        $word_jackpot = /[^0-9a-z]n(o\xCC\x82\xCC\x89|\xC3\xB4\xCC\x89|\xC3\x94\xCC\x89|&(#7893|#x1ed5);|\xE1\xBB\x95|\xE1\xBB\x94|o)[\s\-+_]{1,3}h(&(#361|#x169);|u\xCC\x83|\xC5\xA9|\xC5\xA8|u)[^0-9a-z\xC3-\xC6\xCC\xCD\xE1]/i
        $word_fish = /[^0-9a-z]b(a\xCC\x86\xCC\x81|\xC4\x82\xCC\x81|\xC4\x83\xCC\x81|&(#7855|#x1eaf);|\xE1\xBA\xAF|\xE1\xBA\xAE|a)n[\s\-+_]{1,3}c(&(aacute|#225|#xe1);|a\xCC\x81|\xC3\xA1|\xC3\x81|a)[^0-9a-z\xC3-\xC6\xCC\xCD\xE1]/i
        $word_cards_for_prizes = /[^0-9a-z]game[\s\-+_]{1,3}b(&(agrave|#224|#xe0);|a\xCC\x80|\xC3\xA0|\xC3\x80|a)i[^0-9a-z\xC3-\xC6\xCC\xCD\xE1]/i
        $word_exchange = /[^0-9a-z](&(#273|#x111);|\xC4\x91|\xC4\x90|d)(o\xCC\x82\xCC\x89|\xC3\xB4\xCC\x89|\xC3\x94\xCC\x89|&(#7893|#x1ed5);|\xE1\xBB\x95|\xE1\xBB\x94|o)i[\s\-+_]{1,3}th(&(#432|#x1b0);|u\xCC\x9B|\xC6\xB0|\xC6\xAF|u)(o\xCC\x9B\xCC\x89|\xC6\xA1\xCC\x89|\xC6\xA0\xCC\x89|&(#7903|#x1edf);|\xE1\xBB\x9F|\xE1\xBB\x9E|o)ng[^0-9a-z\xC3-\xC6\xCC\xCD\xE1]/i
        $word_numbers = /[^0-9a-z]l(&(ocirc|#244|#xf4);|o\xCC\x82|\xC3\xB4|\xC3\x94|o)[\s\-+_]{1,3}(&(#273|#x111);|\xC4\x91|\xC4\x90|d)(e\xCC\x82\xCC\x80|\xC3\x8A\xCC\x80|\xC3\xAA\xCC\x80|&(#7873|#x1ec1);|\xE1\xBB\x81|\xE1\xBB\x80|e)[^0-9a-z\xC3-\xC6\xCC\xCD\xE1]/i
        $word_forecast = /[^0-9a-z]soi[\s\-+_]{1,3}c(a\xCC\x82\xCC\x80|\xC3\xA2\xCC\x80|\xC3\x82\xCC\x80|&(#7847|#x1ea7);|\xE1\xBA\xA7|\xE1\xBA\xA6|a)u[^0-9a-z\xC3-\xC6\xCC\xCD\xE1]/i
        $word_single_number = /[^0-9a-z]b(&(#7841|#x1ea1);|\xE1\xBA\xA1|\xE1\xBA\xA0|a\xCC\xA3|a)ch[\s\-+_]{1,3}th(&(#7911|#x1ee7);|\xE1\xBB\xA7|\xE1\xBB\xA6|u\xCC\x89|u)[^0-9a-z\xC3-\xC6\xCC\xCD\xE1]/i
        $word_dragon_tiger = /[^0-9a-z]r(o\xCC\x82\xCC\x80|\xC3\xB4\xCC\x80|\xC3\x94\xCC\x80|&(#7891|#x1ed3);|\xE1\xBB\x93|\xE1\xBB\x92|o)ng[\s\-+_]{1,3}h(o\xCC\x82\xCC\x89|\xC3\xB4\xCC\x89|\xC3\x94\xCC\x89|&(#7893|#x1ed5);|\xE1\xBB\x95|\xE1\xBB\x94|o)[^0-9a-z\xC3-\xC6\xCC\xCD\xE1]/i
        $word_cockfight = /[^0-9a-z](&(#273|#x111);|\xC4\x91|\xC4\x90|d)(&(aacute|#225|#xe1);|a\xCC\x81|\xC3\xA1|\xC3\x81|a)[\s\-+_]{1,3}g(&(agrave|#224|#xe0);|a\xCC\x80|\xC3\xA0|\xC3\x80|a)[^0-9a-z\xC3-\xC6\xCC\xCD\xE1]/i
        $brand_1 = /[^0-9a-z](8[x]bet|f[u]n88|188[b]et)/i
        $brand_2 = /[^0-9a-z](k[u]bet|k[u]win|j[u]n88)/i
        $brand_3 = /[^0-9a-z](h[i]88|n[e]w88|s[h]bet)/i
        $brand_4 = /[^0-9a-z](789[b]et|f[i]ve88|s[u]nwin)/i
        $brand_5 = /[^0-9a-z](g[o]88|r[i]kvip|f[b]88)/i
        $brand_6 = /[^0-9a-z](v[n]88|a[e]888|o[k]vip)/i
        $call_link_in = /[^0-9a-z]link[\s\-+_]{1,3}v(&(agrave|#224|#xe0);|a\xCC\x80|\xC3\xA0|\xC3\x80|a)o[^0-9a-z\xC3-\xC6\xCC\xCD\xE1]/i
        $call_deposit = /[^0-9a-z]n(&(#7841|#x1ea1);|\xE1\xBA\xA1|\xE1\xBA\xA0|a\xCC\xA3|a)p[\s\-+_]{1,3}r(&(uacute|#250|#xfa);|u\xCC\x81|\xC3\xBA|\xC3\x9A|u)t[^0-9a-z\xC3-\xC6\xCC\xCD\xE1]/i
        $call_bonus = /[^0-9a-z]khuy(e\xCC\x82\xCC\x81|\xC3\x8A\xCC\x81|\xC3\xAA\xCC\x81|&(#7871|#x1ebf);|\xE1\xBA\xBF|\xE1\xBA\xBE|e)n[\s\-+_]{1,3}m(&(atilde|#227|#xe3);|a\xCC\x83|\xC3\xA3|\xC3\x83|a)i[^0-9a-z\xC3-\xC6\xCC\xCD\xE1]/i
        $call_sign_up = /[^0-9a-z](&(#273|#x111);|\xC4\x91|\xC4\x90|d)(&(#259|#x103);|a\xCC\x86|\xC4\x83|\xC4\x82|a)ng[\s\-+_]{1,3}k(&(yacute|#253|#xfd);|y\xCC\x81|\xC3\xBD|\xC3\x9D|y)[^0-9a-z\xC3-\xC6\xCC\xCD\xE1]/i
        $call_reputable = /[^0-9a-z]uy[\s\-+_]{1,3}t(&(iacute|#237|#xed);|i\xCC\x81|\xC3\xAD|\xC3\x8D|i)n[^0-9a-z\xC3-\xC6\xCC\xCD\xE1]/i
        $call_get_app = /[^0-9a-z]t(&(#7843|#x1ea3);|\xE1\xBA\xA3|\xE1\xBA\xA2|a\xCC\x89|a)i[\s\-+_]{1,3}app[^0-9a-z\xC3-\xC6\xCC\xCD\xE1]/i
        $call_refund = /[^0-9a-z]ho(&(agrave|#224|#xe0);|a\xCC\x80|\xC3\xA0|\xC3\x80|a)n[\s\-+_]{1,3}tr(&(#7843|#x1ea3);|\xE1\xBA\xA3|\xE1\xBA\xA2|a\xCC\x89|a)[^0-9a-z\xC3-\xC6\xCC\xCD\xE1]/i
        $call_gift = /[^0-9a-z]t(\xE1\xBA\xA1\xCC\x86|\xE1\xBA\xA0\xCC\x86|a\xCC\xA3\xCC\x86|&(#7863|#x1eb7);|\xE1\xBA\xB7|\xE1\xBA\xB6|a)ng[\s\-+_]{1,3}ngay[^0-9a-z\xC3-\xC6\xCC\xCD\xE1]/i
    condition:
        $html and (
            // A page made to be found.
            (4 of ($word*) and 2 of ($brand*) and 2 of ($call*))
            or (7 of ($word*) and 1 of ($brand*) and 2 of ($call*))
            // A block that readers do not see, with links that leave the site.
            or for any i in (1..16) : (
                #outward in (@hidden[i]..@hidden[i] + 1200) >= 2
                and 3 of ($word*, $brand*) in (@hidden[i]..@hidden[i] + 1200)
                and 1 of ($brand*) in (@hidden[i]..@hidden[i] + 1200)
            )
            or for any i in (1..16) : (
                #outward in (@hidden[i]..@hidden[i] + 1200) >= 4
                and 4 of ($word*) in (@hidden[i]..@hidden[i] + 1200)
            )
            // A page that search engines see and readers do not.
            or ($cloak and 2 of ($word*, $brand*))
        )
}
