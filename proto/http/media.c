/* Media types with parameters, in lists with quality, and lists of tags. Source: RFC 9110 5.6.6, 8.3.1, 12.4.2, 12.5.1,
 * 13.1.2. */
#include "proto/http/http.h"

#include <string.h>

#include "base/mem.h"

static struct str trim(struct str s)
{
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t')) {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t')) {
        s.n--;
    }
    return s;
}

/* Up to the separator outside of quotes, which is passed. */
static struct str cut(struct str *rest, char separator)
{
    size_t n = 0;
    for (bool quoted = false; n < rest->n && (quoted || rest->p[n] != separator); n++) {
        if (rest->p[n] == '"') {
            quoted = !quoted;
        } else if (quoted && rest->p[n] == '\\' && n + 1 < rest->n) {
            n++;
        }
    }
    struct str first = {rest->p, n};
    size_t taken = MIN(rest->n, n + 1);
    rest->p += taken;
    rest->n -= taken;
    return trim(first);
}

static struct str param(struct str params, const char *name)
{
    while (params.n > 0) {
        struct str value = cut(&params, ';');
        struct str key = cut(&value, '=');
        value = trim(value);
        if (http_is_word(key, name)) {
            bool quoted = value.n >= 2 && value.p[0] == '"' && value.p[value.n - 1] == '"';
            return quoted ? (struct str){value.p + 1, value.n - 2} : value;
        }
    }
    return STR_NONE;
}

struct str http_media_param(const struct http_media *m, const char *name)
{
    return param(m->params, name);
}

/* "0.75" in thousandths; what is no such number counts as nothing. */
static unsigned quality(struct str s)
{
    unsigned q = 0, scale = 1000;
    if (s.n == 0 || s.n > 5 || (s.p[0] != '0' && s.p[0] != '1') || (s.n > 1 && s.p[1] != '.')) {
        return 0;
    }
    q = s.p[0] == '1' ? 1000 : 0;
    for (size_t i = 2; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9') {
            return 0;
        }
        scale /= 10;
        q += scale * (unsigned)(s.p[i] - '0');
    }
    return MIN(q, 1000u);
}

bool http_media_next(struct str *rest, struct http_media *m)
{
    while (rest->n > 0) {
        struct str one = cut(rest, ',');
        if (one.n == 0) {
            continue;
        }
        m->params = one;
        m->type = cut(&m->params, ';');
        struct str q = param(m->params, "q");
        m->q = q.p == NULL ? 1000 : quality(q);
        return true;
    }
    return false;
}

bool http_has_tag(struct str list, const char *tag)
{
    while (list.n > 0) {
        struct str one = cut(&list, ',');
        if (str_starts(one, STR("W/"))) {
            one = (struct str){one.p + 2, one.n - 2};
        }
        if (str_is(one, tag) || str_is(one, "*")) {
            return true;
        }
    }
    return false;
}
