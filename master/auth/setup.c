#include "master/auth/setup.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

#include "base/env.h"
#include "master/master.h"
#include "proto/facts/cluster.h"
#include "proto/schema/release.h"
#include "proto/text/text.h"

/* ---- init ---- */

/* The cluster's configuration, as it will be made when the first master leads. */
static int make_cluster(const struct master_config *c, struct buf *out, struct error *err)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    const struct kind *k = kind_by_id(KIND_CLUSTERCONFIGURATION);
    struct value *doc = cluster_config_new(&a, c->cluster);
    int rv = cluster_setting_apply(&a, doc, "podTokens=" CLUSTER_POD_TOKENS, err); /* of new clusters */
    for (unsigned i = 0; i < c->settings_count && rv == 0; i++) {
        rv = cluster_setting_apply(&a, doc, c->settings[i], err);
    }
    rv = rv != 0 ? rv : kind_check(k, &a, doc, NULL, 0, err);
    if (rv == 0) {
        yaml_write(out, doc);
    }
    return rv;
}

int setup_init(struct master_config *c, struct error *err)
{
    char *ca = NULL, *ca_key = NULL;
    struct pki_ring seal = {.count = 1};
    struct setup_tokens tokens;
    setup_fill_defaults(c);
    c->id = 1;
    c->bootstrap = true;
    CLEANUP_BUF struct buf cluster = BUF_INIT;
    int rv = make_cluster(c, &cluster, err);
    rv = rv != 0 ? rv : setup_make_dir(c, err);
    rv = rv != 0 ? rv : setup_write_file(c, MASTER_CLUSTER_FILE, buf_cstr(&cluster), 0644, err);
    if (rv != 0 || (rv = pki_make_ca(c->cluster, &ca, &ca_key, err)) != 0) {
        return rv;
    }
    env_random(env_real(), seal.keys[0], sizeof seal.keys[0]);
    rv = setup_write_state(c, &(struct setup_keys){ca, ca_key, &seal}, NULL, &tokens, err);
    pki_ring_wipe(&seal);
    free(ca);
    pki_free_key(ca_key);
    if (rv != 0) {
        return rv;
    }
    char uses[64] = "once; more: rctl master add";
    bool one = c->token_uses <= 1;
    if (!one) {
        snprintf(uses, sizeof uses, "%" PRId64 " times", c->token_uses);
    }
    printf("Cluster %s is prepared in %s. Start its first master:\n\n"
           "    reeve-master run --dir %s\n\n"
           "%s (the token is good for a day, %s):\n\n"
           "    reeve-master join --dir DIR --listen HOST:PORT --token %s %s\n\n"
           "%s (the same; more: rctl token create):\n\n"
           "    reeve-agent join --dir DIR --name NAME --token %s %s\n\n"
           "Your client configuration is %s/admin.config; use it with rctl --config, or copy it to ~/.reeve/config.\n",
           c->cluster, c->dir, c->dir, one ? "A second master" : "More masters", uses, tokens.master, c->advertise,
           one ? "A node" : "Nodes", tokens.node, c->agent_address, c->dir);
    mem_wipe(&tokens, sizeof tokens);
    return 0;
}

/* ---- join ---- */

#define JOINING_KEY "joining.key"
#define JOINING_CSR "joining.csr"

/* Key and request of an earlier attempt, or new ones, which are on the disk before anybody hears of them: a token
 * counts for the key, so who lost the answer shows the same one again. */
static int joining_key(const struct master_config *c, char **csr, char **key, struct error *err)
{
    char key_path[600], csr_path[600];
    struct pki_identity who = {.role = PKI_ROLE_MASTER, .name = "joining"};
    master_config_path(c, JOINING_KEY, key_path, sizeof key_path);
    master_config_path(c, JOINING_CSR, csr_path, sizeof csr_path);
    if (pki_read_file(key_path, PKI_PEM_MAX, key, NULL, NULL) == 0 &&
        pki_read_file(csr_path, PKI_PEM_MAX, csr, NULL, NULL) == 0 && pki_request_fits(*csr, *key)) {
        return 0;
    }
    free(TAKE_PTR(*csr));
    pki_free_key(TAKE_PTR(*key));
    int rv = pki_make_request(&who, csr, key, err);
    rv = rv != 0 ? rv : setup_write_file(c, JOINING_CSR, *csr, 0600, err);
    rv = rv != 0 ? rv : setup_write_file(c, JOINING_KEY, *key, 0600, err);
    return rv;
}

static void forget_joining_key(const struct master_config *c)
{
    static const char *const files[] = {JOINING_KEY, JOINING_CSR};
    char path[600];
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        master_config_path(c, files[i], path, sizeof path);
        unlink(path);
    }
}

#define ATTEMPT_MS 25000 /* a join waits for its turn, and for the leader's disk */

struct joining {
    struct master_config *c;
    const char *key_pem;
    bool reached; /* somebody has answered, be it with a refusal */
    int64_t replaces;
    struct error *err;
};

static int save_joined(struct joining *j, struct mp result)
{
    struct master_config *c = j->c;
    struct pki_ring seal;
    struct str cert = mp_str(mp_get(result, "certificate")), ca = mp_str(mp_get(result, "ca"));
    struct str cluster = mp_str(mp_get(result, "cluster"));
    c->id = (uint64_t)mp_int(mp_get(result, "id"), 0);
    j->replaces = mp_int(mp_get(result, "replaces"), 0);
    if (c->id == 0 || cert.n == 0 || ca.n == 0 || !setup_get_seal_keys(result, &seal)) {
        return error_set(j->err, ERR_PROTOCOL, "the master's answer to join lacks what a master needs");
    }
    snprintf(c->cluster, sizeof c->cluster, "%.*s", STR_ARG(cluster));
    const struct {
        const char *file;
        struct str text;
        unsigned mode;
    } files[] = {{"ca.crt", ca, 0644}, {"master.crt", cert, 0644}};
    char path[600];
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        master_config_path(c, files[i].file, path, sizeof path);
        int rv = pki_write_file(path, files[i].text.p, files[i].text.n, files[i].mode, j->err);
        if (rv != 0) {
            return rv;
        }
    }
    int rv = setup_write_file(c, "master.key", j->key_pem, 0600, j->err);
    if (rv == 0) {
        rv = master_config_save_seal_keys(c, &seal, j->err);
    }
    pki_ring_wipe(&seal);
    for (struct mp_iter it = mp_iter(mp_get(result, "masters")); mp_next(&it);) {
        struct str addr = mp_str(it.value);
        if (c->join_count < MASTER_JOIN_ADDRESSES_MAX && !str_is(addr, c->advertise)) {
            snprintf(c->join_addresses[c->join_count++], NET_ADDR_MAX, "%.*s", STR_ARG(addr));
        }
    }
    return rv != 0 ? rv : master_config_save(c, j->err);
}

/* A program that is too old for the cluster must not become a member first. Whatever else goes wrong here the join
 * itself will say. */
static int look_at_level(struct joining *j, struct net_tls *tls, const char *addr, int64_t timeout_ms)
{
    CLEANUP_BUF struct buf result = BUF_INIT;
    struct error err = {0};
    if (setup_call(tls, addr, "hello", STR("\x80"), timeout_ms, &result, NULL, &err) != 0) {
        return 0;
    }
    int64_t level = mp_int(mp_get(mp_of(result.data, result.size), "featureLevel"), 0);
    if (level <= release.level) {
        return 0;
    }
    return error_set(j->err, ERR_UNSUPPORTED,
                     "the cluster is at feature level %" PRId64 ", and this reeve-master (version " REEVE_VERSION
                     ") knows levels up to %u: install the version that the other masters run, and join with that",
                     level, release.level);
}

static int ask(struct joining *j, const char *token, const char *addr, const char *csr, const char *fingerprint,
               int64_t timeout_ms)
{
    struct net_tls *tls;
    char sans[SETUP_SANS_MAX];
    struct master_config *c = j->c;
    int rv = net_tls_new(NULL, NULL, NULL, fingerprint, &tls, j->err);
    if (rv != 0) {
        return rv;
    }
    if ((rv = look_at_level(j, tls, addr, timeout_ms)) != 0) {
        net_tls_unref(tls);
        return rv;
    }
    setup_sans(c, sans, sizeof sans);
    struct buf b = BUF_INIT, result = BUF_INIT;
    mp_write_map(&b, 6);
    mp_write_key_str(&b, "token", (struct str){token, strcspn(token, "@")});
    mp_write_key_str(&b, "role", STR("master"));
    mp_write_key_str(&b, "name", str_of(c->name[0] == '\0' ? "master" : c->name));
    mp_write_key_str(&b, "csr", str_of(csr));
    mp_write_key_str(&b, "sans", str_of(sans));
    mp_write_key_str(&b, "address", str_of(c->advertise));
    rv = setup_call(tls, addr, "join", buf_str(&b), timeout_ms, &result, &j->reached, j->err);
    if (rv == 0) {
        rv = save_joined(j, (struct mp){result.data, result.data + result.size});
    }
    buf_close(&b);
    if (result.size > 0) {
        mem_wipe(result.data, result.size); /* the seal key */
    }
    buf_close(&result);
    net_tls_unref(tls);
    return rv;
}

static bool worth_another(int rv)
{
    return err_class(rv) == ERR_CLASS_RETRY || err_class(rv) == ERR_CLASS_UNKNOWN;
}

int setup_join(struct master_config *c, const char *token, const char *addresses, int64_t timeout_ms, struct error *err)
{
    const char *at = strchr(token, '@');
    setup_fill_defaults(c);
    if (at == NULL || strlen(at + 1) != 32) {
        return error_set(err, ERR_USAGE,
                         "malformed token: expected ID.SECRET@FINGERPRINT as `rctl token create` prints it");
    }
    int rv = setup_make_dir(c, err);
    if (rv != 0) {
        return rv;
    }
    char *csr = NULL, *key = NULL;
    rv = joining_key(c, &csr, &key, err);
    if (rv != 0) {
        free(csr);
        pki_free_key(key);
        return rv;
    }
    struct joining j = {.c = c, .key_pem = key, .err = err};
    char *list = xstrdup(addresses), *save = NULL;
    rv = ERR_USAGE;
    int64_t start = env_now_ms(env_real());
    error_set(err, ERR_USAGE, "no master's address given");
    /* A cluster that has just lost or not yet found its leader, or is changing otherwise, says "try again": until the
     * time is over; and who joins twice with one key joins once, so an open outcome is no hindrance. If nobody
     * listens at all, the address is likely wrong: only as long as a master needs to start. */
    do {
        char *copy = xstrdup(list);
        for (char *addr = strtok_r(copy, ",", &save); addr != NULL && rv != 0; addr = strtok_r(NULL, ",", &save)) {
            rv = ask(&j, token, addr, csr, at + 1, ATTEMPT_MS);
        }
        free(copy);
        if (rv != 0 && worth_another(rv)) {
            uv_sleep(200);
        }
    } while (rv != 0 && worth_another(rv) &&
             env_now_ms(env_real()) - start < (j.reached ? timeout_ms : MIN(timeout_ms, SETUP_REFUSED_MS)));
    free(list);
    free(csr);
    pki_free_key(key);
    if (rv == 0) {
        forget_joining_key(c);
        printf("Master %" PRIu64 " of cluster %s is prepared in %s.", c->id, c->cluster, c->dir);
        if (j.replaces != 0) {
            printf(" It takes the place of master %" PRId64 ".", j.replaces);
        }
        printf(
            " Start it:\n\n    reeve-master run --dir %s\n\nIt votes as soon as it has caught up; `rctl master list` "
            "shows it.\n",
            c->dir);
    } else if (worth_another(rv)) {
        snprintf(err->message + strlen(err->message), sizeof err->message - strlen(err->message), "%s",
                 j.reached
                     ? ". Nothing is left half: type the same again; if it goes on like this, `rctl cluster status` "
                       "says what the cluster lacks"
                     : ". No master answers there: look at the addresses and the network between, then type the "
                       "same again");
    }
    return rv;
}
