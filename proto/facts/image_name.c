#include "proto/facts/image_name.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

/* Of a name as written and as normalised; what normalising adds fits into IMAGE_REF_MAX. */
#define IMAGE_NAME_MAX (IMAGE_REF_MAX - 64u)

/* The grammar is that of distribution/reference: [HOST[:PORT]/]COMPONENT[/COMPONENT]...[:TAG][@sha256:HEX]. */

static bool is_alnum_lower(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}
static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}
static bool is_word(char c)
{
    return is_alnum_lower(c) || (c >= 'A' && c <= 'Z') || c == '_';
}

/* Letters and digits, separated by '.', '_', '__' or any number of '-'. */
static bool is_component(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        bool edge = i == 0 || i + 1 == s.n;
        if (is_alnum_lower(s.p[i])) {
            continue;
        }
        if (edge || (s.p[i] != '.' && s.p[i] != '_' && s.p[i] != '-')) {
            return false;
        }
        if (s.p[i] == '.' && !is_alnum_lower(s.p[i + 1])) {
            return false;
        }
    }
    return s.n > 0;
}

static bool is_path(struct str s)
{
    for (;;) {
        const char *slash = s.n == 0 ? NULL : memchr(s.p, '/', s.n);
        size_t n = slash == NULL ? s.n : (size_t)(slash - s.p);
        if (!is_component((struct str){s.p, n})) {
            return false;
        }
        if (slash == NULL) {
            return true;
        }
        s = (struct str){slash + 1, s.n - n - 1};
    }
}

static bool is_host(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (!is_word(s.p[i]) && s.p[i] != '.' && s.p[i] != '-' && s.p[i] != ':' && s.p[i] != '[' && s.p[i] != ']') {
            return false;
        }
    }
    return s.n > 0;
}

static bool is_tag(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (!is_word(s.p[i]) && (i == 0 || (s.p[i] != '.' && s.p[i] != '-'))) {
            return false;
        }
    }
    return s.n > 0 && s.n <= 128;
}

bool image_digest_hex(struct str digest, char hex[IMAGE_HEX_SIZE])
{
    if (digest.n != 7 + 64 || !str_starts(digest, STR("sha256:"))) {
        return false;
    }
    for (size_t i = 7; i < digest.n; i++) {
        if (!is_hex(digest.p[i])) {
            return false;
        }
    }
    memcpy(hex, digest.p + 7, 64);
    hex[64] = '\0';
    return true;
}

/* What stands before an "@" that no digest follows is a login, or may be one. */
void image_name_shown(const char *ref, char out[IMAGE_REF_MAX])
{
    const char *last = strrchr(ref, '@'), *scheme = strstr(ref, "://");
    bool digest = last != NULL && strncmp(last, "@sha256:", 8) == 0 && strchr(last, '/') == NULL;
    const char *login = last;
    if (digest) { /* there may be another one before it */
        login = memrchr(ref, '@', (size_t)(last - ref));
    }
    int lead = login == NULL || scheme == NULL || scheme > login ? 0 : (int)(scheme + 3 - ref);
    snprintf(out, IMAGE_REF_MAX, "%.*s%s%.200s", lead, ref, login == NULL ? "" : "***", login == NULL ? ref : login);
}

static int not_a_name(struct str ref, struct error *err)
{
    char shown[IMAGE_REF_MAX];
    CLEANUP_FREE char *text = xstrndup(ref.p == NULL ? "" : ref.p, ref.n);
    const char *scheme = strstr(text, "://");
    image_name_shown(text, shown);
    const char *why = "";
    if (scheme != NULL && scheme < text + 12) {
        why = str_starts(ref, STR("https:")) ? " (it stands without https://)" : " (it stands without a scheme)";
    } else if (strstr(shown, "***") != NULL) {
        why = " (logins stand in imagePullSecrets)";
    }
    return error_set(err, ERR_INVALID, "couldn't parse image reference \"%s\": invalid reference format%s", shown, why);
}

int image_name_normalise(struct str ref, char out[IMAGE_REF_MAX], struct error *err)
{
    struct str rest = ref, digest = STR_NONE, tag = STR_NONE, host = STR("docker.io");
    char hex[IMAGE_HEX_SIZE];
    const char *at = ref.n == 0 ? NULL : memchr(ref.p, '@', ref.n);
    if (at != NULL) {
        digest = (struct str){at + 1, (size_t)(ref.p + ref.n - at - 1)};
        rest.n = (size_t)(at - ref.p);
    }
    const char *colon = rest.n == 0 ? NULL : memrchr(rest.p, ':', rest.n);
    if (colon != NULL && memchr(colon, '/', (size_t)(rest.p + rest.n - colon)) == NULL) {
        tag = (struct str){colon + 1, (size_t)(rest.p + rest.n - colon - 1)};
        rest.n = (size_t)(colon - rest.p);
    }
    bool tag_wrong = colon != NULL && tag.p != NULL && !is_tag(tag);
    const char *slash = rest.n == 0 ? NULL : memchr(rest.p, '/', rest.n);
    if (slash != NULL) {
        struct str first = {rest.p, (size_t)(slash - rest.p)};
        if (memchr(first.p, '.', first.n) != NULL || memchr(first.p, ':', first.n) != NULL ||
            str_is(first, "localhost")) {
            host = first;
            rest = (struct str){slash + 1, rest.n - first.n - 1};
        }
    }
    if (tag_wrong || !is_path(rest) || !is_host(host) || (at != NULL && !image_digest_hex(digest, hex)) ||
        ref.n > IMAGE_NAME_MAX) {
        return not_a_name(ref, err);
    }
    bool library = str_is(host, "docker.io") && memchr(rest.p, '/', rest.n) == NULL;
    int n = snprintf(out, IMAGE_REF_MAX, "%.*s/%s%.*s", STR_ARG(host), library ? "library/" : "", STR_ARG(rest));
    if (at != NULL) { /* a digest says all; a tag beside it is decoration */
        snprintf(out + n, IMAGE_REF_MAX - (size_t)n, "@%.*s", STR_ARG(digest));
    } else if (tag.p != NULL) {
        snprintf(out + n, IMAGE_REF_MAX - (size_t)n, ":%.*s", STR_ARG(tag));
    } else {
        snprintf(out + n, IMAGE_REF_MAX - (size_t)n, ":latest");
    }
    /* What is written out in full must be a name again: the store finds images by it. */
    return strlen(out) <= IMAGE_NAME_MAX ? 0 : not_a_name(ref, err);
}
