/* user: a certificate for a user with groups, who is what roles give to them. Whoever may be somebody (`impersonate` on
 * users and groups, as in Kubernetes) may have a certificate that says so. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/timefmt.h"
#include "master/auth/access.h"
#include "master/auth/authority.h"
#include "master/auth/rotate.h"
#include "master/front/call.h"

#define SYSTEM_PREFIX "system:"

struct user {
    struct pki_identity who;
    char groups[PKI_GROUPS_SIZE]; /* as pki_sign_user takes them */
};

/* False: the call has been failed. */
static bool may_be(struct call *c, const char *resource, const char *name)
{
    struct error err = {0};
    const struct access a = {.verb = STR("impersonate"), .resource = str_of(resource), .name = str_of(name)};
    bool group = strcmp(resource, "groups") == 0;
    bool masters = group && strcmp(name, ACCESS_MASTERS) == 0 && access_is_master(c->e.who);
    if (!masters && str_starts(str_of(name), STR(SYSTEM_PREFIX))) {
        call_failf(c, ERR_FORBIDDEN,
                   "user: %s \"%s\" can't be certified: names with " SYSTEM_PREFIX " are the cluster's own%s",
                   group ? "group" : "user", name,
                   group ? ", and " ACCESS_MASTERS " is for an administrator to give" : "");
        return false;
    }
    if (access_check(store_tip(replica_store(c->m->replica)), c->e.who, &a, &err) != 0) {
        call_fail(c, &err);
        return false;
    }
    return true;
}

static bool read_groups(struct call *c, struct user *u)
{
    size_t used = 0;
    unsigned count = 0;
    for (struct mp_iter it = mp_iter(call_param(c, "groups")); mp_next(&it);) {
        struct str g = mp_str(it.value);
        if (g.n == 0 || memchr(g.p, '\0', g.n) != NULL || ++count > PKI_GROUPS_MAX ||
            used + g.n + 2 > PKI_GROUPS_SIZE) {
            call_failf(c, ERR_USAGE, "user: groups must be a list of at most %u names with %u bytes in all",
                       PKI_GROUPS_MAX, PKI_GROUPS_SIZE);
            return false;
        }
        memcpy(u->groups + used, g.p, g.n);
        if (!may_be(c, "groups", u->groups + used)) {
            return false;
        }
        used += g.n + 1;
    }
    return true;
}

/* False: the call has been failed. */
static bool read_user(struct call *c, struct user *u)
{
    struct str name;
    if (!call_str(c, "name", &name, true)) {
        return false;
    }
    if (name.n == 0 || name.n > PKI_NAME_MAX || memchr(name.p, '\0', name.n) != NULL) {
        call_failf(c, ERR_USAGE, "user: the name must have 1 to %d bytes", PKI_NAME_MAX);
        return false;
    }
    u->who.role = PKI_ROLE_USER;
    memcpy(u->who.name, name.p, name.n);
    return may_be(c, "users", u->who.name) && read_groups(c, u);
}

static void method_user(struct call *c)
{
    struct master *m = c->m;
    struct user u = {0};
    struct error err = {0};
    struct str csr;
    char *cert = NULL;
    int64_t until_s = 0;
    if (!call_str(c, "csr", &csr, true) || !read_user(c, &u)) {
        return;
    }
    int rv = authority_sign_groups(m, &u.who, u.groups, arena_strndup(&c->e.arena, csr.p, csr.n), NULL, &cert, &err);
    rv = rv != 0 ? rv : pki_cert_info(cert, NULL, NULL, &until_s, &err);
    if (rv != 0) {
        call_fail(c, &err);
        free(cert);
        return;
    }
    char date[TIMEFMT_SIZE];
    timefmt_rfc3339(until_s * 1000, date);
    log_info(&m->log, "certs", "a certificate for user \"%s\", asked for by user \"%s\", valid until %s", u.who.name,
             c->e.who->name, date);
    m->stats.certificates++;
    struct buf b = BUF_INIT;
    mp_write_map(&b, 3);
    mp_write_key_str(&b, "certificate", str_of(cert));
    mp_write_key_str(&b, "ca", str_of(rotate_trust(m)));
    mp_write_key_str(&b, "notAfter", str_of(date));
    call_reply(c, &b);
    buf_close(&b);
    free(cert);
}

const struct method request_user = {"user", method_user, METHOD_WRITE | METHOD_AGAIN | METHOD_OPEN, "csr name groups"};
