/* Who asks as somebody else says so in headers: Impersonate-User, -Group (any number), -Uid, -Extra-KEY (any number;
 * the key encoded as in paths). Source: Kubernetes' authentication, "User impersonation". */
#include <string.h>

#include "master/auth/impersonate.h"
#include "master/rest/call.h"

#define PREFIX "Impersonate-"
#define EXTRA  "Extra-"

/* The rest of a header's name behind a prefix, in any case. */
static bool begins(struct str name, const char *prefix, struct str *rest)
{
    size_t n = strlen(prefix);
    if (name.n < n || !http_is_word((struct str){name.p, n}, prefix)) {
        return false;
    }
    *rest = (struct str){name.p + n, name.n - n};
    return true;
}

/* "Scopes%2Fa" is the key "scopes/a". False: malformed. */
static bool read_key(struct rest_call *c, struct str text, struct str *key)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    if (!http_decode(&b, text, false) || b.size == 0) {
        return false;
    }
    char *lower = arena_strndup(&c->own, (const char *)b.data, b.size);
    for (size_t i = 0; i < b.size; i++) {
        lower[i] += lower[i] >= 'A' && lower[i] <= 'Z' ? 'a' - 'A' : 0;
    }
    *key = (struct str){lower, b.size};
    return true;
}

struct asking {
    struct impersonate_wish wish;
    bool some; /* there is such a header */
    struct value *extra;
    const char *wrong; /* NULL: nothing is */
};

static void read_header(struct rest_call *c, const struct http_header *h, struct asking *q)
{
    struct impersonate_wish *w = &q->wish;
    struct str what, key = STR_NONE;
    if (!begins(h->name, PREFIX, &what)) {
        return;
    }
    q->some = true;
    if (http_is_word(what, "User") || http_is_word(what, "Uid")) {
        struct str *to = http_is_word(what, "User") ? &w->user : &w->uid;
        q->wrong = to->n > 0 ? "a header that there may be one of is there twice" : q->wrong;
        *to = h->value;
    } else if (http_is_word(what, "Group")) {
        if (w->groups_count == PRINCIPAL_GROUPS_MAX) {
            q->wrong = "there are too many groups";
            return;
        }
        w->groups[w->groups_count++] = h->value;
    } else if (begins(what, EXTRA, &what) && read_key(c, what, &key)) {
        struct value *list = value_get_str_key(q->extra, key);
        if (list == NULL) {
            list = value_list(&c->own);
            value_set_str_key(&c->own, q->extra, key, list);
        }
        value_append(&c->own, list, value_str(&c->own, h->value));
    } else {
        q->wrong = "a header is none of User, Group, Uid, Extra-KEY"; /* who wants to do less is not let do more */
    }
}

bool rest_become(struct rest_call *c, const struct http_request *r)
{
    CLEANUP_BUF struct buf extra = BUF_INIT;
    struct asking q = {.extra = value_map(&c->own)};
    for (unsigned i = 0; i < r->headers_count; i++) {
        read_header(c, &r->headers[i], &q);
    }
    if (!q.some) {
        return true;
    }
    if (q.wrong != NULL) {
        rest_answer_failure(c, 400, "impersonation: %s", q.wrong);
        return false;
    }
    if (value_count(q.extra) > 0) {
        msgpack_write_value(&extra, q.extra);
        q.wish.extra = mp_of(extra.data, extra.size);
    }
    return errand_become(&c->e, &q.wish);
}
