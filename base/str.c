#include "base/str.h"

bool str_is_among(struct str word, const char *words)
{
    for (const char *p = words; *p != '\0';) {
        size_t n = strcspn(p, " ");
        if (str_eq(word, (struct str){p, n})) {
            return true;
        }
        p += n + (p[n] == ' ');
    }
    return false;
}

bool str_to_int64(struct str s, int64_t *out)
{
    bool negative = s.n > 0 && s.p[0] == '-';
    size_t at = negative ? 1 : 0;
    if (s.n == at || s.n - at > 18) {
        return false;
    }
    int64_t v = 0;
    for (; at < s.n; at++) {
        if (s.p[at] < '0' || s.p[at] > '9') {
            return false;
        }
        v = v * 10 + (s.p[at] - '0');
    }
    *out = negative ? -v : v;
    return true;
}
