/* Targets: what stands encoded in them. Source: RFC 3986 2.1; of queries the form's encoding, in which '+' is a
 * blank. */
#include "proto/http/http.h"

static int hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

bool http_decode(struct buf *out, struct str text, bool query)
{
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (c == '%') {
            int high = i + 2 < text.n ? hex(text.p[i + 1]) : -1, low = high < 0 ? -1 : hex(text.p[i + 2]);
            if (low < 0 || (high == 0 && low == 0)) {
                return false;
            }
            c = (char)(high * 16 + low);
            i += 2;
        } else if (query && c == '+') {
            c = ' ';
        }
        buf_putc(out, c);
    }
    return true;
}

bool http_query_next(struct str *rest, struct str *key, struct str *value)
{
    while (rest->n > 0) {
        const char *at = memchr(rest->p, '&', rest->n);
        struct str one = {rest->p, at == NULL ? rest->n : (size_t)(at - rest->p)};
        size_t taken = at == NULL ? rest->n : one.n + 1;
        rest->p += taken;
        rest->n -= taken;
        if (one.n == 0) {
            continue;
        }
        const char *equals = memchr(one.p, '=', one.n);
        *key = (struct str){one.p, equals == NULL ? one.n : (size_t)(equals - one.p)};
        *value = equals == NULL ? (struct str){one.p + one.n, 0}
                                : (struct str){equals + 1, one.n - (size_t)(equals - one.p) - 1};
        return true;
    }
    return false;
}
