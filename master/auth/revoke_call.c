/* cert.revoke, cert.revoked: what administrators say of the list of revoked certificates (revoked.h), and see of it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/timefmt.h"
#include "master/auth/revoked.h"
#include "master/front/call.h"

/* ---- cert.revoke ---- */

struct revocation {
    struct call *call;
    enum pki_role role; /* NONE: by serial */
    char name[PKI_NAME_MAX + 1];
    int64_t until_s;
};

static const char *word_of(enum pki_role role)
{
    return role == PKI_ROLE_NODE ? "node" : role == PKI_ROLE_ADMIN ? "admin" : "serial";
}

static void write_date(struct buf *b, const char *key, int64_t ms)
{
    char date[TIMEFMT_SIZE];
    timefmt_rfc3339(ms, date);
    mp_write_key_str(b, key, str_of(date));
}

static void revoked(const struct txn_result *result, const struct error *error, void *data)
{
    (void)result;
    struct revocation *r = data;
    struct session *s = call_session(r->call);
    if (s != NULL) {
        s->answer_owed = false;
    }
    if (error != NULL) {
        call_fail(r->call, error);
    } else {
        struct buf b = BUF_INIT;
        log_info(&r->call->m->log, "certs", "user \"%s\" revokes: %s %s", r->call->e.who->name, word_of(r->role),
                 r->name);
        mp_write_map(&b, 3);
        mp_write_key_str(&b, "kind", str_of(word_of(r->role)));
        mp_write_key_str(&b, "name", str_of(r->name));
        write_date(&b, "until", r->until_s * 1000);
        call_reply(r->call, &b);
        buf_close(&b);
    }
    free(r);
}

static bool is_user(enum pki_role role)
{
    return role == PKI_ROLE_ADMIN || role == PKI_ROLE_USER;
}

/* Users are objects nowhere: those who are connected here are known, and who asks. */
static bool admin_known(const struct call *c, struct str name)
{
    if (is_user(c->e.who->role) && str_is(name, c->e.who->name)) {
        return true;
    }
    LIST_FOR(it, &c->m->sessions)
    {
        const struct session *s = LIST_ENTRY(it, struct session, link);
        if (is_user(s->principal->role) && str_is(name, s->principal->name)) {
            return true;
        }
    }
    return false;
}

/* False: the call has been failed. */
static bool find_role(struct call *c, struct str name, struct str role, enum pki_role *out)
{
    if (str_is(role, "node") || str_is(role, "admin")) {
        *out = str_is(role, "node") ? PKI_ROLE_NODE : PKI_ROLE_ADMIN;
        return true;
    }
    if (role.n > 0) {
        call_failf(c, ERR_USAGE,
                   "cert.revoke: role must be node or admin; a master is removed, and its certificate with it: rctl "
                   "master remove ID");
        return false;
    }
    bool node = view_get(store_tip(replica_store(c->m->replica)), kind_by_id(KIND_NODE), STR_NONE, name) != NULL;
    bool admin = admin_known(c, name);
    *out = node ? PKI_ROLE_NODE : PKI_ROLE_ADMIN;
    if (node && admin) {
        call_failf(c, ERR_USAGE, "\"%.*s\" is a node and a user: say node/%.*s or user/%.*s", STR_ARG(name),
                   STR_ARG(name), STR_ARG(name));
    } else if (!node && !admin) {
        call_failf(c, ERR_NOT_FOUND,
                   "there is no node \"%.*s\", and no user of that name is connected; if it is meant all the same, say "
                   "node/%.*s or user/%.*s",
                   STR_ARG(name), STR_ARG(name), STR_ARG(name));
    }
    return node != admin;
}

static bool is_serial(struct str s)
{
    bool ok = s.n > 0 && s.n < PKI_SERIAL_SIZE && s.n % 2 == 0;
    for (size_t i = 0; ok && i < s.n; i++) {
        ok = (s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f');
    }
    return ok;
}

/* False: the call has been failed. */
static bool read_target(struct call *c, struct revocation *r, bool *own)
{
    struct str name, role, serial;
    if (!call_str(c, "name", &name, false) || !call_str(c, "role", &role, false) ||
        !call_str(c, "serial", &serial, false)) {
        return false;
    }
    if ((name.n > 0) == (serial.n > 0) || name.n > PKI_NAME_MAX) {
        call_failf(c, ERR_USAGE, "cert.revoke: either the name of a node or user, or a certificate's serial number");
        return false;
    }
    if (memchr(name.p == NULL ? "" : name.p, '\n', name.n) != NULL) {
        call_failf(c, ERR_USAGE, "cert.revoke: no name has a line's end in it");
        return false;
    }
    if (serial.n > 0 && !is_serial(serial)) {
        call_failf(c, ERR_USAGE,
                   "cert.revoke: \"%.*s\" is no serial number: an even number of hex digits in lower case, at most %d",
                   STR_ARG(serial), PKI_SERIAL_SIZE - 1);
        return false;
    }
    if (name.n > 0 && !find_role(c, name, role, &r->role)) {
        return false;
    }
    snprintf(r->name, sizeof r->name, "%.*s", STR_ARG(name.n > 0 ? name : serial));
    *own = name.n > 0
               ? (is_user(c->e.who->role) ? PKI_ROLE_ADMIN : c->e.who->role) == r->role && str_is(name, c->e.who->name)
               : str_is(serial, c->e.who->facts.serial);
    return true;
}

static void method_cert_revoke(struct call *c)
{
    struct revocation *r = xcalloc(1, sizeof *r);
    struct master *m = c->m;
    struct error err = {0};
    bool own = false;
    if (!read_target(c, r, &own)) {
        free(r);
        return;
    }
    if (own && !mp_bool(call_param(c, "force"), false)) {
        call_failf(c, ERR_CONFLICT,
                   "this is your own certificate: nothing could be done with it any more, and if you are the only "
                   "administrator, nobody could; if that is meant, use --force (`reeve-master admin --dir DIR` on a "
                   "master's machine writes a new client configuration)");
        free(r);
        return;
    }
    struct txn t;
    txn_init(&t, "certs");
    int rv = r->role == PKI_ROLE_NONE ? revoked_add_serial(m, &t, str_of(r->name), &r->until_s, &err)
                                      : revoked_add(m, &t, r->role, str_of(r->name), &r->until_s, &err);
    if (rv != 0) {
        call_fail(c, &err);
        free(r);
    } else {
        struct session *s = call_session(c);
        r->call = c;
        if (s != NULL && own) {
            s->answer_owed = true;
        }
        replica_submit(m->replica, &t, revoked, r, NULL); /* a refusal comes by the callback as well */
        master_wake(m);
    }
    txn_close(&t);
}

const struct method request_cert_revoke = {"cert.revoke", method_cert_revoke, METHOD_WRITE | METHOD_AGAIN,
                                           "name role serial force"};

/* ---- cert.revoked ---- */

static void write_row(struct str kind, struct str name, int64_t at_ms, int64_t until_s, void *data)
{
    struct buf *b = data;
    mp_write_map(b, 4);
    mp_write_key_str(b, "kind", kind);
    mp_write_key_str(b, "name", name);
    write_date(b, "since", str_is(kind, "serial") ? at_ms : at_ms - REVOKED_SKEW_MS);
    write_date(b, "until", until_s * 1000);
}

static void list_read(struct call *c)
{
    struct buf b = BUF_INIT, rows = BUF_INIT;
    int64_t floor_ms = revoked_floor_ms(c->m);
    unsigned count = revoked_each(c->m, write_row, &rows);
    mp_write_map(&b, 1 + (floor_ms > 0));
    mp_write_cstr(&b, "revoked");
    mp_write_array(&b, count);
    buf_append(&b, rows.data, rows.size);
    if (floor_ms > 0) {
        write_date(&b, "nodesWithoutObjectBefore", floor_ms);
    }
    call_reply(c, &b);
    buf_close(&rows);
    buf_close(&b);
}

static void method_cert_revoked(struct call *c)
{
    call_read(c, list_read);
}

const struct method request_cert_revoked = {"cert.revoked", method_cert_revoked, 0, "stale"};
