/* user, user.token: a certificate, or a token, for a user with groups, who is what roles give to them. Whoever may be
 * somebody (`impersonate` on users and groups, as in Kubernetes) may have one that says so. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/timefmt.h"
#include "master/auth/access.h"
#include "master/auth/authority.h"
#include "master/auth/rotate.h"
#include "master/auth/user_call.h"
#include "master/auth/user_token.h"
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
    for (const char *p = name; *p != '\0'; p++) {
        if ((unsigned char)*p < ' ' || *p == 0x7f) { /* names are told, and kept, a line each */
            call_failf(c, ERR_USAGE, "user: names of users and groups have no control characters");
            return false;
        }
    }
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

int user_certify(struct master *m, const char *name, const char *groups, const char *csr_pem, int64_t max_s,
                 struct str asked_by, char **cert_pem, int64_t *until_s, struct error *err)
{
    struct pki_identity who = {.role = PKI_ROLE_USER};
    char date[TIMEFMT_SIZE];
    snprintf(who.name, sizeof who.name, "%s", name);
    int rv = authority_sign_groups(m, &who, groups, max_s, csr_pem, NULL, cert_pem, err);
    rv = rv != 0 ? rv : pki_cert_info(*cert_pem, NULL, NULL, until_s, err);
    if (rv != 0) {
        free(TAKE_PTR(*cert_pem));
        return rv;
    }
    timefmt_rfc3339(*until_s * 1000, date);
    log_info(&m->log, "certs", "a certificate for user \"%s\", asked for by user \"%.*s\", valid until %s", name,
             STR_ARG(asked_by), date);
    m->stats.certificates++;
    return 0;
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
    if (user_certify(m, u.who.name, u.groups, arena_strndup(&c->e.arena, csr.p, csr.n), 0, str_of(c->e.who->name),
                     &cert, &until_s, &err) != 0) {
        call_fail(c, &err);
        return;
    }
    char date[TIMEFMT_SIZE];
    timefmt_rfc3339(until_s * 1000, date);
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

/* ---- user.token ---- */

struct made {
    struct call *call;
    char token[USER_TOKEN_SIZE], name[PKI_NAME_MAX + 1];
    int64_t until_s;
};

static void token_made(const struct txn_result *result, const struct error *error, void *data)
{
    (void)result;
    struct made *made = data;
    struct call *c = made->call;
    char date[TIMEFMT_SIZE];
    timefmt_rfc3339(made->until_s * 1000, date);
    if (error != NULL) {
        call_fail(c, error);
    } else {
        struct buf b = BUF_INIT;
        log_info(&c->m->log, "certs", "a token for user \"%s\", asked for by user \"%s\", valid until %s", made->name,
                 c->e.who->name, date);
        mp_write_map(&b, 3);
        mp_write_key_str(&b, "token", str_of(made->token));
        mp_write_key_str(&b, "ca", str_of(rotate_trust(c->m)));
        mp_write_key_str(&b, "expires", str_of(date));
        call_reply(c, &b);
        mem_wipe(b.data, b.size);
        buf_close(&b);
    }
    mem_wipe(made->token, sizeof made->token);
    free(made);
}

/* It lives no longer than a certificate would: so long a revocation of the user's is remembered. */
static void method_user_token(struct call *c)
{
    struct master *m = c->m;
    struct user u = {0};
    struct error err = {0};
    int64_t max_s = master_config_cert_life_s(&m->config, PKI_ROLE_USER),
            life_s = mp_int(call_param(c, "ttlSeconds"), max_s);
    if (!read_user(c, &u)) {
        return;
    }
    if (life_s <= 0 || life_s > max_s) {
        call_failf(c, ERR_USAGE, "user.token: ttlSeconds must be between 1 and %lld", (long long)max_s);
        return;
    }
    struct made *made = xcalloc(1, sizeof *made);
    struct txn t;
    made->call = c;
    memcpy(made->name, u.who.name, sizeof made->name);
    txn_init(&t, "user-token");
    if (user_token_make(m, &t, u.who.name, u.groups, life_s, made->token, &made->until_s, &err) != 0) {
        token_made(NULL, &err, made);
    } else {
        replica_submit(m->replica, &t, token_made, made, NULL); /* a refusal comes by the callback as well */
        master_wake(m);
    }
    txn_close(&t);
}

const struct method request_user_token = {"user.token", method_user_token, METHOD_WRITE | METHOD_AGAIN | METHOD_OPEN,
                                          "name groups ttlSeconds"};
