#include "master/auth/impersonate.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "master/auth/access.h"

#define GROUP_OF_USERS  "authentication.k8s.io"
#define ANONYMOUS       "system:anonymous"
#define ACCOUNTS        "system:serviceaccounts"
#define ACCOUNT_NAMES_N (sizeof ACCESS_ACCOUNT_PREFIX - 1)

/* ---- As whom ---- */

static bool is_map_of_texts(struct mp m)
{
    if (mp_type(m) != MP_MAP) {
        return false;
    }
    for (struct mp_iter it = mp_iter(m); mp_next(&it);) {
        if (mp_type(it.value) != MP_ARRAY) {
            return false;
        }
        for (struct mp_iter text = mp_iter(it.value); mp_next(&text);) {
            if (mp_type(text.value) != MP_STR) {
                return false;
            }
        }
    }
    return true;
}

int impersonate_read(struct mp as, struct impersonate_wish *out, struct error *err)
{
    struct mp groups = mp_get(as, "groups"), extra = mp_get(as, "extra");
    bool good = mp_type(as) == MP_MAP && (mp_type(groups) == MP_NONE || mp_type(groups) == MP_ARRAY) &&
                (mp_type(extra) == MP_NONE || is_map_of_texts(extra)) && mp_count(groups) <= PRINCIPAL_GROUPS_MAX;
    *out =
        (struct impersonate_wish){.user = mp_str(mp_get(as, "user")), .uid = mp_str(mp_get(as, "uid")), .extra = extra};
    if (good && mp_type(groups) == MP_ARRAY) {
        for (struct mp_iter it = mp_iter(groups); good && mp_next(&it);) {
            good = mp_type(it.value) == MP_STR;
            out->groups[out->groups_count++] = mp_str(it.value);
        }
    }
    return good ? 0
                : error_set(err, ERR_USAGE,
                            "as: must be {user, ?groups, ?uid, ?extra}: texts, lists of at most %u of them, and for "
                            "extra a map of lists",
                            PRINCIPAL_GROUPS_MAX);
}

/* NS and NAME of "system:serviceaccount:NS:NAME". */
static bool is_account(struct str user, struct str *ns, struct str *name)
{
    if (!str_starts(user, STR(ACCESS_ACCOUNT_PREFIX))) {
        return false;
    }
    struct str rest = {user.p + ACCOUNT_NAMES_N, user.n - ACCOUNT_NAMES_N};
    const char *colon = rest.n == 0 ? NULL : memchr(rest.p, ':', rest.n);
    if (colon == NULL) {
        return false;
    }
    *ns = (struct str){rest.p, (size_t)(colon - rest.p)};
    *name = (struct str){colon + 1, rest.n - ns->n - 1};
    return ns->n > 0 && name->n > 0;
}

static bool is_in(const struct principal *p, struct str group)
{
    for (struct str g = STR_NONE; principal_next_group(p, &g);) {
        if (str_eq(g, group)) {
            return true;
        }
    }
    return false;
}

static int add_group(struct principal *p, struct str group, struct error *err)
{
    return is_in(p, group) ? 0 : principal_add_group(p, group, err);
}

/* Behind those that were asked for. */
static int add_own_groups(struct principal *p, struct error *err)
{
    struct str ns, name;
    int rv = 0;
    if (p->as->groups_asked == 0 && is_account(str_of(p->name), &ns, &name)) {
        char text[sizeof ACCOUNTS + PKI_NAME_MAX + 2];
        snprintf(text, sizeof text, ACCOUNTS ":%.*s", STR_ARG(ns));
        rv = add_group(p, STR(ACCOUNTS), err);
        rv = rv != 0 ? rv : add_group(p, str_of(text), err);
    }
    bool nobody = strcmp(p->name, ANONYMOUS) == 0;
    return rv != 0 ? rv : add_group(p, nobody ? STR("system:unauthenticated") : STR("system:authenticated"), err);
}

static int fill(struct principal *p, const struct impersonate_wish *wish, struct error *err)
{
    size_t extra = (size_t)(wish->extra.end - wish->extra.p);
    bool fits = wish->user.n < sizeof p->name && wish->uid.n < sizeof p->as->uid && extra <= PRINCIPAL_EXTRA_MAX;
    if (wish->user.n == 0) {
        return error_set(err, ERR_USAGE, "groups, uid or extra of somebody are asked for, without a user");
    }
    if (!fits || memchr(wish->user.p, '\0', wish->user.n) != NULL ||
        (wish->uid.n > 0 && memchr(wish->uid.p, '\0', wish->uid.n) != NULL)) {
        return error_set(err, ERR_USAGE,
                         "as another user: his name has at most %u bytes, his uid %u, and what else is said of him %u",
                         PKI_NAME_MAX, PRINCIPAL_UID_MAX, PRINCIPAL_EXTRA_MAX);
    }
    memcpy(p->name, wish->user.p, wish->user.n);
    if (wish->uid.n > 0) {
        memcpy(p->as->uid, wish->uid.p, wish->uid.n);
    }
    if (mp_type(wish->extra) == MP_MAP && mp_count(wish->extra) > 0) {
        buf_append(&p->as->extra, wish->extra.p, extra);
    }
    int rv = 0;
    for (unsigned i = 0; rv == 0 && i < wish->groups_count; i++) {
        rv = add_group(p, wish->groups[i], err);
    }
    p->as->groups_asked = p->groups_count;
    rv = rv != 0 ? rv : add_own_groups(p, err);
    return rv == ERR_LIMIT || rv == ERR_INVALID ? (err->code = ERR_USAGE) : rv;
}

int impersonate_begin(struct principal *by, const struct impersonate_wish *wish, struct principal **out,
                      struct error *err)
{
    struct principal p = {.role = PKI_ROLE_USER, .proof = PROOF_IMPERSONATED, .forwarded_by = by->forwarded_by};
    p.as = xcalloc(1, sizeof *p.as);
    p.as->by = principal_ref(by);
    int rv = fill(&p, wish, err);
    if (rv != 0) {
        principal_as_free(p.as);
        return rv;
    }
    *out = principal_share(&p);
    return 0;
}

/* ---- May he? ---- */

static int check_one(const struct view *v, const struct principal *by, const char *group, const char *resource,
                     struct str sub, struct str ns, struct str name, struct error *err)
{
    return access_check(v, by,
                        &(struct access){.verb = STR("impersonate"),
                                         .group = str_of(group),
                                         .resource = str_of(resource),
                                         .sub = sub,
                                         .ns = ns,
                                         .name = name},
                        err);
}

static int check_extra(const struct view *v, const struct principal *p, struct error *err)
{
    struct mp extra = mp_of(p->as->extra.data, p->as->extra.size);
    int rv = 0;
    for (struct mp_iter key = mp_iter(extra); rv == 0 && mp_next(&key);) {
        for (struct mp_iter it = mp_iter(key.value); rv == 0 && mp_next(&it);) {
            rv = check_one(v, p->as->by, GROUP_OF_USERS, "userextras", key.key, STR_NONE, mp_str(it.value), err);
        }
    }
    return rv;
}

int impersonate_check(const struct view *v, const struct principal *p, struct error *err)
{
    const struct principal *by = p->as->by;
    struct str ns, name;
    int rv = is_account(str_of(p->name), &ns, &name)
                 ? check_one(v, by, "", "serviceaccounts", STR_NONE, ns, name, err)
                 : check_one(v, by, "", "users", STR_NONE, STR_NONE, str_of(p->name), err);
    unsigned n = 0;
    for (struct str g = STR_NONE; rv == 0 && n < p->as->groups_asked && principal_next_group(p, &g); n++) {
        rv = check_one(v, by, "", "groups", STR_NONE, STR_NONE, g, err);
    }
    if (rv == 0 && p->as->uid[0] != '\0') {
        rv = check_one(v, by, GROUP_OF_USERS, "uids", STR_NONE, STR_NONE, str_of(p->as->uid), err);
    }
    return rv != 0 || p->as->extra.size == 0 ? rv : check_extra(v, p, err);
}
