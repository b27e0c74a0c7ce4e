/* Coming back under a new id: the client's side of "rejoin". States: repair.h. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/env.h"
#include "base/failpoint.h"
#include "master/auth/setup.h"
#include "master/master.h"
#include "master/rescue/repair.h"
#include "proto/text/text.h"

#define ASK_TIMEOUT_MS 25000 /* a rejoin waits for its turn, and for the leader's disk */
#define PAUSE_MIN_MS   200
#define PAUSE_MAX_MS   5000
#define ASK_MAX        (MASTER_JOIN_ADDRESSES_MAX + 64)

struct rejoining {
    struct master_config *c;
    const struct log *log;
    const struct stop *stop;
    struct net_tls *tls;
    char *csr, *key;
    char ask[ASK_MAX][NET_ADDR_MAX];
    unsigned ask_count;
    struct buf result;
};

/* ---- Whom to ask ---- */

static void ask_too(struct rejoining *r, const char *address)
{
    bool there = address[0] == '\0' || strcmp(address, r->c->advertise) == 0 || r->ask_count == ASK_MAX;
    for (unsigned i = 0; i < r->ask_count; i++) {
        there |= strcmp(r->ask[i], address) == 0;
    }
    if (!there) {
        snprintf(r->ask[r->ask_count++], NET_ADDR_MAX, "%s", address);
    }
}

static void find_masters(struct rejoining *r)
{
    struct known_master known[64];
    unsigned n = known_read(r->c, known, ARRAY_SIZE(known));
    for (unsigned i = 0; i < n; i++) {
        if (known[i].id != r->c->id) {
            ask_too(r, known[i].address);
        }
    }
    for (unsigned i = 0; i < r->c->join_count; i++) {
        ask_too(r, r->c->join_addresses[i]);
    }
}

/* ---- Asking ---- */

static int load_tls(struct rejoining *r, struct error *err)
{
    char ca_path[600], cert_path[600], key_path[600];
    CLEANUP_FREE char *ca = NULL, *cert = NULL;
    char *key = NULL;
    master_config_path(r->c, "ca.crt", ca_path, sizeof ca_path);
    master_config_path(r->c, "master.crt", cert_path, sizeof cert_path);
    master_config_path(r->c, "master.key", key_path, sizeof key_path);
    int rv = pki_read_file(ca_path, PKI_PEM_MAX, &ca, NULL, err);
    if (rv == 0) {
        rv = pki_read_pair(cert_path, key_path, &cert, &key, err);
    }
    if (rv == 0) {
        rv = net_tls_new(ca, cert, key, NULL, &r->tls, err);
    }
    pki_free_key(key);
    return rv;
}

static int ask_one(struct rejoining *r, const char *address, struct error *err)
{
    char sans[SETUP_SANS_MAX];
    CLEANUP_BUF struct buf b = BUF_INIT;
    setup_sans(r->c, sans, sizeof sans);
    mp_write_map(&b, 5);
    mp_write_key_str(&b, "address", str_of(r->c->advertise));
    mp_write_key_str(&b, "agentAddress", str_of(r->c->agent_address));
    mp_write_key_str(&b, "csr", str_of(r->csr));
    mp_write_key_str(&b, "sans", str_of(sans));
    mp_write_key_str(&b, "reason", str_of(r->c->rejoin));
    return setup_call_until(r->stop, r->tls, address, "rejoin", buf_str(&b), ASK_TIMEOUT_MS, &r->result, err);
}

/* Who was removed cannot come back by itself, nor can one whose certificate nobody takes; all else may pass. */
static bool hopeless(int code)
{
    return code == ERR_FORBIDDEN || code == ERR_UNAUTHORIZED;
}

/* A single address at which certificates do not fit says little: another program may listen there by now. */
static int ask_all(struct rejoining *r, struct error *err)
{
    int rv = error_set(err, ERR_NOT_FOUND, "no other master's address is known");
    struct error passing = {0}; /* of one that may answer later */
    for (unsigned i = 0; i < r->ask_count; i++) {
        rv = ask_one(r, r->ask[i], err);
        if (rv == 0 || rv == ERR_CANCELED || rv == ERR_FORBIDDEN) {
            return rv;
        }
        log_debug(r->log, "repair", "%s", err->message);
        if (!hopeless(rv)) {
            passing = *err;
        }
    }
    if (passing.code != 0) {
        *err = passing;
        return passing.code;
    }
    return rv;
}

static int ask_until_answered(struct rejoining *r, struct error *err)
{
    int64_t pause = PAUSE_MIN_MS, say = 0;
    int rv;
    while ((rv = ask_all(r, err)) != 0 && !hopeless(rv)) {
        int64_t now = env_now_ms(env_real());
        bool told = stop_asked(r->stop);
        if (!told && now >= say) {
            log_warn(
                r->log, "repair",
                "waiting for the other masters, to come back as a new member: %s. If a majority of them is lost for "
                "good, see `reeve-master recover --help`",
                err->message);
            say = now + REPAIR_SAY_MS;
        }
        if (told || stop_wait(r->stop, pause)) {
            return error_set(err, ERR_CANCELED, "told to stop while waiting for the other masters");
        }
        pause = MIN(pause * 2, PAUSE_MAX_MS);
    }
    return rv == 0
               ? 0
               : error_wrap(err, "this master's data is lost, and the others do not take it back; join anew in another "
                                 "directory with a token of theirs (`rctl master add`)");
}

/* ---- The new identity ---- */

/* They may have been replaced while this master was away; what the others send is sealed with theirs. */
static int take_seal_keys(struct rejoining *r, struct mp result, struct error *err)
{
    struct pki_ring keys;
    if (!setup_get_seal_keys(result, &keys)) {
        return error_set(err, ERR_PROTOCOL, "the leader's answer to rejoin lacks the keys that seal Secrets");
    }
    int rv = master_config_save_seal_keys(r->c, &keys, err);
    pki_ring_wipe(&keys);
    return rv;
}

static int take_identity(struct rejoining *r, struct error *err)
{
    char cert_path[600], key_path[600];
    struct mp result = {r->result.data, r->result.data + r->result.size};
    uint64_t id = (uint64_t)mp_int(mp_get(result, "id"), 0);
    struct str cert = mp_str(mp_get(result, "certificate")), ca = mp_str(mp_get(result, "ca"));
    if (id == 0 || id == r->c->id || cert.n == 0 || ca.n == 0) {
        return error_set(err, ERR_PROTOCOL, "the leader's answer to rejoin lacks what a master needs");
    }
    CLEANUP_FREE char *cert_pem = xasprintf("%.*s", STR_ARG(cert));
    if (failpoint(FAILPOINT_rejoin_before_identity)) {
        return error_set(err, ERR_IO, "write the new identity: failed by a failpoint");
    }
    if (!pki_pair_fits(cert_pem, r->key)) {
        return error_set(err, ERR_PROTOCOL, "the certificate in the leader's answer to rejoin is not for our key");
    }
    /* While the CA is replaced the others trust more than we knew. The old certificate's CA is among these still, so
     * this comes first. */
    CLEANUP_FREE char *ca_pem = xasprintf("%.*s", STR_ARG(ca));
    char issuer[33];
    int rv = pki_issuer(ca_pem, cert_pem, issuer, err);
    if (rv != 0) {
        return error_wrap(err, "the certificate in the leader's answer to rejoin");
    }
    rv = setup_write_file(r->c, "ca.crt", ca_pem, 0644, err);
    rv = rv == 0 ? take_seal_keys(r, result, err) : rv;
    master_config_path(r->c, "master.crt", cert_path, sizeof cert_path);
    master_config_path(r->c, "master.key", key_path, sizeof key_path);
    return rv != 0 ? rv : pki_write_pair(cert_path, key_path, cert_pem, r->key, err);
}

int rejoin_finish(struct master_config *c, const struct log *log, bool *finished, struct error *err)
{
    char cert_path[600], key_path[600];
    CLEANUP_FREE char *cert = NULL;
    char *key = NULL;
    struct pki_identity who = {0};
    int64_t from, until;
    *finished = false;
    master_config_path(c, "master.crt", cert_path, sizeof cert_path);
    master_config_path(c, "master.key", key_path, sizeof key_path);
    int rv = pki_read_pair(cert_path, key_path, &cert, &key, err); /* mends a pair that was written in part */
    pki_free_key(key);
    if (rv == 0) {
        rv = pki_cert_info(cert, &who, &from, &until, err);
    }
    uint64_t id = rv == 0 ? strtoull(who.name, NULL, 10) : 0;
    if (rv != 0 || id == 0 || id == c->id) {
        return rv;
    }
    struct master_config next = *c;
    next.id = id;
    next.started = false;
    next.rejoin[0] = '\0';
    if (failpoint(FAILPOINT_rejoin_before_config)) {
        return error_set(err, ERR_IO, "write master.yaml: failed by a failpoint");
    }
    rv = master_config_save(&next, err);
    if (rv == 0) {
        log_warn(log, "repair", "master %" PRIu64 " comes back as master %" PRIu64, c->id, id);
        *c = next;
        *finished = true;
    }
    return rv;
}

int rejoin(struct master_config *c, const struct log *log, const struct stop *stop, struct error *err)
{
    struct rejoining *r = xcalloc(1, sizeof *r);
    struct pki_identity who = {.role = PKI_ROLE_MASTER, .name = "joining"};
    bool finished = false;
    *r = (struct rejoining){.c = c, .log = log, .stop = stop};
    find_masters(r);
    int rv = failpoint(FAILPOINT_rejoin_before_ask) ? error_set(err, ERR_IO, "rejoin: failed by a failpoint") : 0;
    rv = rv == 0 ? load_tls(r, err) : rv;
    rv = rv == 0 ? pki_make_request(&who, &r->csr, &r->key, err) : rv;
    rv = rv == 0 ? ask_until_answered(r, err) : rv;
    rv = rv == 0 ? take_identity(r, err) : rv;
    rv = rv == 0 ? rejoin_finish(c, log, &finished, err) : rv;
    assert(rv != 0 || finished);
    if (r->result.size > 0) {
        mem_wipe(r->result.data, r->result.size); /* the seal key */
    }
    buf_close(&r->result);
    free(r->csr);
    pki_free_key(r->key);
    net_tls_unref(r->tls);
    free(r);
    return rv;
}
