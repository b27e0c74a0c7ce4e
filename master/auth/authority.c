/* What every master does with the CA's key: it keeps its part, follows the committed generation, gets rid of ca.key;
 * and what others ask: signatures. The leader's part: authority_lead.c, authority_deal.c. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/fs.h"
#include "base/locked.h"
#include "master/auth/authority_int.h"
#include "master/auth/revoked.h"
#include "master/auth/rotate.h"
#include "master/record.h"

/* ---- Life ---- */

struct authority *authority_new(void)
{
    struct authority *a = xcalloc(1, sizeof *a);
    a->own = parts_new();
    return a;
}

void authority_free(struct authority *a)
{
    if (a != NULL) {
        locked_free(a->lead, sizeof *a->lead);
        parts_free(a->own);
        free(a);
    }
}

void authority_load(struct master *m)
{
    struct authority *a = m->authority;
    struct error err = {0};
    if (parts_load(m->config.dir, a->own, &a->damaged, &err) != 0) {
        log_error(&m->log, "ca", "our part of the CA's key cannot be read, and counts as lost: %s", err.message);
    } else if (a->damaged > 0) {
        log_error(&m->log, "ca", "%s/%s is damaged: %u of its parts of the CA's key count as lost", m->config.dir,
                  PARTS_FILE, a->damaged);
    }
}

void authority_on_leading(struct master *m, bool leading)
{
    struct authority *a = m->authority;
    locked_free(TAKE_PTR(a->lead), sizeof *a->lead);
    a->epoch++;
    a->lost = a->complained = false;
    a->leaving = 0;
    a->refresh = REFRESH_NO;
    a->retry_ms = 0;
    if (leading && !m->stopping) {
        a->lead = locked_new(sizeof *a->lead);
        a->since_ms = env_now_ms(m->env);
        authority_lead(m);
    }
}

/* ---- The committed generation ---- */

bool authority_committed(const struct master *m, struct sealed *out)
{
    return sealed_read(sealed_in(store_committed(replica_store(m->replica))), out);
}

bool authority_is_secret(const struct object *o)
{
    return sealed_is(o);
}

int authority_keep_part(struct master *m, const struct part *part, struct error *err)
{
    struct authority *a = m->authority;
    if (failpoint(FAILPOINT_ca_before_part)) {
        return error_set(err, ERR_IO, "write %s: failed by a failpoint", PARTS_FILE);
    }
    struct parts *next = parts_new();
    *next = *a->own;
    parts_put(next, part, a->have ? a->now.deal : "");
    int rv = parts_save(m->config.dir, next, err);
    if (rv == 0) {
        *a->own = *next;
        a->damaged = 0;
    }
    parts_free(next);
    return rv == 0 && failpoint(FAILPOINT_ca_after_part) ? error_set(err, ERR_IO, "failed by a failpoint") : rv;
}

static void drop_former_parts(struct master *m)
{
    struct authority *a = m->authority;
    struct error err = {0};
    struct parts *next = parts_new();
    *next = *a->own;
    if (parts_drop_former(next, a->now.generation, a->now.deal)) {
        if (parts_save(m->config.dir, next, &err) == 0) {
            *a->own = *next;
        } else {
            log_warn(&m->log, "ca", "a former part of the CA's key cannot be dropped yet: %s", err.message);
        }
    }
    parts_free(next);
}

void authority_advance(struct master *m)
{
    struct authority *a = m->authority;
    const struct object *o = sealed_in(store_committed(replica_store(m->replica)));
    if ((o == NULL ? 0 : o->revision) == a->revision || m->stopping) {
        return;
    }
    a->revision = o == NULL ? 0 : o->revision;
    a->have = sealed_read(o, &a->now);
    a->now.box = STR_NONE;
    if (o != NULL && !a->have) {
        log_error(&m->log, "ca",
                  "Secret kube-system/reeve-ca is damaged; the leader makes another one if it holds the "
                  "CA's key");
    }
    if (a->have) {
        drop_former_parts(m);
    }
    authority_settle(m, false);
    authority_follow(m); /* the rest is for the next chore, or who waits for it: we may be inside of the node's turn */
    master_wake(m);
}

/* ---- ca.key ---- */

static int overwrite(const char *path)
{
    static const char zeros[512];
    struct stat st;
    CLEANUP_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || fstat(fd, &st) != 0) {
        return -errno;
    }
    for (off_t at = 0; at < st.st_size;) {
        ssize_t n = pwrite(fd, zeros, (size_t)MIN((off_t)sizeof zeros, st.st_size - at), at);
        if (n <= 0) {
            return n < 0 ? -errno : -EIO;
        }
        at += n;
    }
    return fsync(fd) != 0 ? -errno : 0;
}

static void remove_clear_key(struct master *m)
{
    char path[600];
    master_config_path(&m->config, AUTHORITY_CA_FILE, path, sizeof path);
    if (failpoint(FAILPOINT_ca_before_removal)) {
        return;
    }
    int rv = overwrite(path); /* in place: what a file system does with it is its own affair */
    if (unlink(path) != 0 || fs_sync_dir(m->config.dir) != 0) {
        rv = -errno;
    }
    if (rv != 0 && rv != -ENOENT) {
        log_warn(&m->log, "ca", "%s cannot be removed yet: %s", path, strerror(-rv));
        return;
    }
    pki_free_key(TAKE_PTR(m->ca_key_pem));
    log_info(&m->log, "ca", "the CA's key is in parts now: %s is removed", path);
}

static bool is_sealed(const struct master *m)
{
    char print[33];
    const char *pem = m->ca_pem;
    bool of_none = true;
    for (char *ca; (ca = pki_next_cert(&pem)) != NULL; free(ca)) {
        if (pki_pair_fits(ca, m->ca_key_pem)) {
            of_none = false;
            if (pki_cert_fingerprint(ca, print, NULL) == 0 && strstr(m->authority->now.cas, print) != NULL) {
                free(ca);
                return true;
            }
        }
    }
    return of_none; /* of a CA that is trusted no more: good for nothing */
}

void authority_settle(struct master *m, bool told)
{
    struct authority *a = m->authority;
    unsigned x = a->have ? sealed_part_of(&a->now, m->config.id) : 0;
    const struct part *own = x == 0 ? NULL : parts_find(a->own, a->now.deal);
    bool safe = x == 0 ? told && a->have : own != NULL && own->share.x == x;
    if (m->ca_key_pem != NULL && safe && is_sealed(m)) {
        remove_clear_key(m);
    }
}

/* ---- Signing ---- */

const char *authority_key(const struct master *m, const char *ca_pem)
{
    const struct authority *a = m->authority;
    if (a->lead != NULL && a->lead->held.open) {
        const char *key = keyring_find(&a->lead->held.keys, ca_pem);
        if (key != NULL) {
            return key;
        }
    }
    return m->ca_key_pem != NULL && pki_pair_fits(ca_pem, m->ca_key_pem) ? m->ca_key_pem : NULL;
}

bool authority_is_lost(const struct master *m)
{
    const struct authority *a = m->authority;
    return a->lead != NULL && (a->lead->held.open || a->lost) && authority_key(m, m->ca_pem) == NULL;
}

static int not_at_hand(struct master *m, struct error *err)
{
    const struct authority *a = m->authority;
    if (a->lead == NULL) {
        return error_set(err, ERR_NOT_LEADER,
                         "this master does not lead, so it has not got the key of the cluster's CA");
    }
    if (a->lead->held.open || a->lost) {
        return error_set(err, ERR_UNSUPPORTED,
                         "no master has got the key of the cluster's CA, so nobody can be certified; `rctl cert "
                         "rotate-ca` gives the cluster a new CA");
    }
    unsigned got = 0;
    for (unsigned i = 0; i < SEALED_MEMBERS_MAX; i++) {
        got += a->lead->voters[i].got;
    }
    return error_set(
        err, ERR_NO_QUORUM,
        "the key of the cluster's CA is in parts, of which %u are needed and %u have come from the masters "
        "that answer; try again, and see `rctl cert status`",
        a->have ? a->now.threshold : 1, got);
}

static const char *signer(struct master *m, enum pki_role role, const char **ca)
{
    *ca = m->ca_pem;
    rotate_signer(m, role, ca);
    return authority_key(m, *ca);
}

int authority_can_sign(struct master *m, enum pki_role role, struct error *err)
{
    const char *ca;
    return signer(m, role, &ca) != NULL ? 0 : not_at_hand(m, err);
}

int authority_sign(struct master *m, const struct pki_identity *who, const char *csr_pem, const char *sans,
                   char **cert_pem, struct error *err)
{
    return authority_sign_groups(m, who, "", 0, csr_pem, sans, cert_pem, err);
}

int authority_sign_groups(struct master *m, const struct pki_identity *who, const char *groups, int64_t max_s,
                          const char *csr_pem, const char *sans, char **cert_pem, struct error *err)
{
    int64_t life_s = master_config_cert_life_s(&m->config, who->role);
    const char *ca, *key = signer(m, who->role, &ca);
    *cert_pem = NULL;
    if (key != NULL && who->role == PKI_ROLE_USER) {
        bool limited = max_s > 0 && max_s < life_s;
        return pki_sign_user(ca, key, csr_pem, who->name, groups, limited ? max_s : life_s, limited,
                             revoked_stamp(m, who), cert_pem, err);
    }
    return key == NULL ? not_at_hand(m, err)
                       : pki_sign_request(ca, key, csr_pem, who, sans == NULL || sans[0] == '\0' ? NULL : sans, life_s,
                                          revoked_stamp(m, who), cert_pem, err);
}

int authority_copy_key(struct master *m, char **key_pem, struct error *err)
{
    const char *key = authority_key(m, m->ca_pem);
    *key_pem = key == NULL ? NULL : xstrdup(key);
    return key == NULL ? not_at_hand(m, err) : 0;
}

/* ---- cert.admin ---- */

static void method_cert_admin(struct call *c)
{
    struct master *m = c->m;
    struct pki_identity who = {.role = PKI_ROLE_ADMIN};
    struct error err = {0};
    struct str csr, name;
    char *cert = NULL;
    if (!call_str(c, "csr", &csr, true) || !call_str(c, "name", &name, true)) {
        return;
    }
    if (c->e.who->role != PKI_ROLE_MASTER || name.n > PKI_NAME_MAX) {
        call_failf(c, ERR_FORBIDDEN, "cert.admin is for masters: `reeve-master admin` calls it");
        return;
    }
    snprintf(who.name, sizeof who.name, "%.*s", STR_ARG(name));
    if (authority_sign(m, &who, arena_strndup(&c->e.arena, csr.p, csr.n), NULL, &cert, &err) != 0) {
        call_fail(c, &err);
        return;
    }
    log_info(&m->log, "certs", "a certificate for user \"%s\", asked for by master %s", who.name, c->e.who->name);
    m->stats.certificates++;
    struct buf b = BUF_INIT;
    mp_write_map(&b, 2);
    mp_write_key_str(&b, "certificate", str_of(cert));
    mp_write_key_str(&b, "ca", str_of(rotate_trust(m)));
    call_reply(c, &b);
    buf_close(&b);
    free(cert);
}

const struct method request_cert_admin = {"cert.admin", method_cert_admin, METHOD_WRITE | METHOD_AGAIN, "csr name"};

/* ---- What is told of it ---- */

void authority_write(struct master *m, struct buf *b)
{
    const struct authority *a = m->authority;
    struct error err = {0};
    bool at_hand = authority_key(m, m->ca_pem) != NULL;
    if (!at_hand) {
        not_at_hand(m, &err);
    }
    bool say = !at_hand && err.code != ERR_NOT_LEADER;
    mp_write_cstr(b, "caKey");
    mp_write_map(b, 2u + 2u * a->have + say + (a->lead != NULL));
    mp_write_key_bool(b, "atHand", at_hand);
    mp_write_key_bool(b, "clear", m->ca_key_pem != NULL);
    if (say) {
        mp_write_key_str(b, "error", str_of(err.message));
    }
    if (a->have) {
        mp_write_key_int(b, "generation", (int64_t)a->now.generation);
        mp_write_key_int(b, "threshold", a->now.threshold);
    }
    if (a->lead == NULL) {
        return;
    }
    uint64_t ids[SEALED_MEMBERS_MAX];
    unsigned voters, n = authority_targets(m, ids, NULL, &voters);
    mp_write_cstr(b, "parts");
    mp_write_array(b, n);
    for (unsigned i = 0; i < n; i++) {
        const struct voter *v = authority_voter(m->authority, ids[i]);
        bool own = ids[i] == m->config.id, known = own || (v != NULL && v->told);
        mp_write_map(b, 1u + known);
        mp_write_key_int(b, "id", (int64_t)ids[i]);
        if (known) {
            mp_write_key_bool(b, "has", own ? a->have && parts_find(a->own, a->now.deal) != NULL : v->has);
        }
    }
}
