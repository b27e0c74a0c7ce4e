#include "client/manifest/keyfile.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "proto/schema/kind.h"
#include "proto/text/text.h"

bool keyfile_is_text(struct str s)
{
    for (size_t i = 0; i < s.n;) {
        unsigned char c = (unsigned char)s.p[i];
        size_t more = c < 0x80                ? 0
                      : c >= 0xc2 && c < 0xe0 ? 1
                      : c >= 0xe0 && c < 0xf0 ? 2
                      : c >= 0xf0 && c < 0xf5 ? 3
                                              : 9;
        if (c == 0 || more == 9 || i + more >= s.n) {
            return false;
        }
        for (size_t k = 1; k <= more; k++) {
            if (((unsigned char)s.p[i + k] & 0xc0) != 0x80) {
                return false;
            }
        }
        i += more + 1;
    }
    return true;
}

/* One line without its end. */
static int env_line(struct str line, keyfile_add *add, void *data, struct error *err)
{
    while (line.n > 0 && (line.p[0] == ' ' || line.p[0] == '\t')) {
        line = (struct str){line.p + 1, line.n - 1};
    }
    if (line.n == 0 || line.p[0] == '#') {
        return 0;
    }
    if (!keyfile_is_text(line)) {
        return error_set(err, ERR_USAGE, "not UTF-8");
    }
    const char *eq = memchr(line.p, '=', line.n);
    struct str key = {line.p, eq == NULL ? line.n : (size_t)(eq - line.p)};
    if (!name_is_env(key)) {
        return error_set(err, ERR_USAGE,
                         "\"%.*s\" cannot be a key: it must be letters, digits, '-', '_' and '.', and not begin with a "
                         "digit",
                         STR_ARG(key));
    }
    if (eq != NULL) {
        return add(key, (struct str){eq + 1, line.n - key.n - 1}, data, err);
    }
    CLEANUP_FREE char *name = xstrndup(key.p, key.n);
    const char *value = getenv(name);
    return add(key, str_of(value == NULL ? "" : value), data, err);
}

int keyfile_env(struct str text, const char *file, keyfile_add *add, void *data, struct error *err)
{
    struct str rest = text_skip_bom(text);
    for (unsigned number = 1; rest.n > 0; number++) {
        const char *end = memchr(rest.p, '\n', rest.n);
        struct str line = {rest.p, end == NULL ? rest.n : (size_t)(end - rest.p)};
        size_t taken = line.n + (end != NULL);
        line.n -= line.n > 0 && line.p[line.n - 1] == '\r';
        int rc = env_line(line, add, data, err);
        if (rc != 0) {
            error_wrap(err, "%s:%u", file, number);
            return rc;
        }
        rest = (struct str){rest.p + taken, rest.n - taken};
    }
    return 0;
}
