#include "master/setup.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "base/env.h"
#include "master/master.h"
#include "proto/text.h"

/* ---- Files ---- */

static int write_file(const struct master_config *c, const char *file, const char *text, unsigned mode,
                      struct error *err)
{
    char path[600];
    master_config_path(c, file, path, sizeof path);
    return pki_write_file(path, text, strlen(text), mode, err);
}

static int make_dir(const struct master_config *c, struct error *err)
{
    if (mkdir(c->dir, 0700) != 0 && errno != EEXIST) {
        return error_set_errno(err, errno, "make directory %s", c->dir);
    }
    char path[600];
    master_config_path(c, "master.yaml", path, sizeof path);
    if (access(path, F_OK) == 0) {
        return error_set(err, ERR_EXISTS, "%s holds a master already; start it with `reeve-master run --dir %s`",
                         c->dir, c->dir);
    }
    return 0;
}

static void fill_defaults(struct master_config *c)
{
    if (c->listen[0] == '\0') {
        snprintf(c->listen, sizeof c->listen, "127.0.0.1:%d", API_PORT_DEFAULT);
    }
    if (c->advertise[0] == '\0') {
        snprintf(c->advertise, sizeof c->advertise, "%s", c->listen);
    }
    if (c->agent_address[0] == '\0') {
        snprintf(c->agent_address, sizeof c->agent_address, "%s", c->advertise);
    }
    if (c->cluster[0] == '\0') {
        snprintf(c->cluster, sizeof c->cluster, "reeve");
    }
}

void setup_sans(const struct master_config *c, char *out, size_t size)
{
    const char *const addrs[] = {c->listen, c->advertise, c->agent_address};
    int n = snprintf(out, size, "localhost,127.0.0.1");
    for (size_t i = 0; i < ARRAY_SIZE(addrs); i++) {
        const char *colon = strrchr(addrs[i], ':');
        size_t host = colon == NULL ? strlen(addrs[i]) : (size_t)(colon - addrs[i]);
        const char *p = addrs[i];
        if (host > 1 && p[0] == '[') {
            p++;
            host -= 2;
        }
        if (host > 0 && n > 0 && (size_t)n < size) {
            n += snprintf(out + n, size - (size_t)n, ",%.*s", (int)host, p);
        }
    }
}

static int write_seal_key(const struct master_config *c, const uint8_t key[32], struct error *err)
{
    char hex[66];
    for (int i = 0; i < 32; i++) {
        snprintf(hex + 2 * i, 3, "%02x", key[i]);
    }
    hex[64] = '\n';
    hex[65] = '\0';
    int rv = write_file(c, "seal.key", hex, 0600, err);
    explicit_bzero(hex, sizeof hex);
    return rv;
}

/* ---- init ---- */

static void put_data(struct arena *a, struct value *map, const char *key, const char *pem)
{
    struct buf b = BUF_INIT;
    base64_write(&b, pem, strlen(pem));
    value_set(a, map, key, value_str(a, buf_str(&b)));
    explicit_bzero(b.data, b.size);
    buf_close(&b);
}

/* The first administrator's client configuration, in the form of a kubeconfig. */
static int write_admin_config(const struct master_config *c, const char *ca, const char *ca_key, struct error *err)
{
    char *cert = NULL, *key = NULL;
    struct pki_identity who = {.role = PKI_ROLE_ADMIN, .name = "admin"};
    int rv = pki_issue(ca, ca_key, &who, NULL, SETUP_CERT_VALID_S, &cert, &key, err);
    if (rv != 0) {
        return rv;
    }
    struct arena a;
    arena_init(&a);
    struct value *doc = value_map(&a), *entry;
    value_set(&a, doc, "apiVersion", value_cstr(&a, "v1"));
    value_set(&a, doc, "kind", value_cstr(&a, "Config"));
    value_set(&a, doc, "current-context", value_cstr(&a, c->cluster));
    value_append(&a, value_ensure_list(&a, doc, "clusters"), entry = value_map(&a));
    value_set(&a, entry, "name", value_cstr(&a, c->cluster));
    struct value *cluster = value_ensure_map(&a, entry, "cluster");
    value_append(&a, value_ensure_list(&a, cluster, "servers"), value_cstr(&a, c->advertise));
    put_data(&a, cluster, "certificate-authority-data", ca);
    value_append(&a, value_ensure_list(&a, doc, "users"), entry = value_map(&a));
    value_set(&a, entry, "name", value_cstr(&a, "admin"));
    struct value *user = value_ensure_map(&a, entry, "user");
    put_data(&a, user, "client-certificate-data", cert);
    put_data(&a, user, "client-key-data", key);
    value_append(&a, value_ensure_list(&a, doc, "contexts"), entry = value_map(&a));
    value_set(&a, entry, "name", value_cstr(&a, c->cluster));
    struct value *context = value_ensure_map(&a, entry, "context");
    value_set(&a, context, "cluster", value_cstr(&a, c->cluster));
    value_set(&a, context, "user", value_cstr(&a, "admin"));
    struct buf text = BUF_INIT;
    yaml_write(&text, doc);
    char path[600];
    master_config_path(c, "admin.config", path, sizeof path);
    rv = pki_write_file(path, text.data, text.size, 0600, err);
    explicit_bzero(text.data, text.size);
    buf_close(&text);
    arena_close(&a);
    free(cert);
    pki_free_key(key);
    return rv;
}

static int write_tokens(const struct master_config *c, const char *ca, char master[TOKEN_SIZE], char node[TOKEN_SIZE],
                        struct error *err)
{
    char text[2 * TOKEN_SIZE + 32];
    token_text(env_real(), ca, master);
    token_text(env_real(), ca, node);
    snprintf(text, sizeof text, "master %s\nnode %s\n", master, node);
    int rv = write_file(c, "tokens", text, 0600, err);
    explicit_bzero(text, sizeof text);
    return rv;
}

static int write_identity(const struct master_config *c, const char *ca, const char *ca_key, struct error *err)
{
    char *cert = NULL, *key = NULL, sans[1024];
    struct pki_identity who = {.role = PKI_ROLE_MASTER};
    snprintf(who.name, sizeof who.name, "%" PRIu64, c->id);
    setup_sans(c, sans, sizeof sans);
    int rv = pki_issue(ca, ca_key, &who, sans, SETUP_CERT_VALID_S, &cert, &key, err);
    if (rv == 0) {
        rv = write_file(c, "master.crt", cert, 0644, err);
    }
    if (rv == 0) {
        rv = write_file(c, "master.key", key, 0600, err);
    }
    free(cert);
    pki_free_key(key);
    return rv;
}

int setup_init(struct master_config *c, struct error *err)
{
    char *ca = NULL, *ca_key = NULL;
    char master_token[TOKEN_SIZE], node_token[TOKEN_SIZE];
    uint8_t seal[32];
    fill_defaults(c);
    c->id = 1;
    c->bootstrap = true;
    int rv = make_dir(c, err);
    if (rv != 0 || (rv = pki_make_ca(c->cluster, &ca, &ca_key, err)) != 0) {
        return rv;
    }
    env_random(env_real(), seal, sizeof seal);
    if ((rv = write_file(c, "ca.crt", ca, 0644, err)) == 0 && (rv = write_file(c, "ca.key", ca_key, 0600, err)) == 0 &&
        (rv = write_seal_key(c, seal, err)) == 0 && (rv = write_identity(c, ca, ca_key, err)) == 0 &&
        (rv = write_admin_config(c, ca, ca_key, err)) == 0 &&
        (rv = write_tokens(c, ca, master_token, node_token, err)) == 0) {
        rv = master_config_save(c, err); /* last: its presence says that the directory is whole */
    }
    explicit_bzero(seal, sizeof seal);
    free(ca);
    pki_free_key(ca_key);
    if (rv != 0) {
        return rv;
    }
    printf("Cluster %s is prepared in %s. Start its first master:\n\n"
           "    reeve-master run --dir %s\n\n"
           "More masters (the token is good for a day):\n\n"
           "    reeve-master join --dir DIR --listen HOST:PORT --token %s %s\n\n"
           "Nodes:\n\n"
           "    reeve-agent join --dir DIR --name NAME --token %s %s\n\n"
           "Your client configuration is %s/admin.config; use it with rctl --config, or copy it to ~/.reeve/config.\n",
           c->cluster, c->dir, c->dir, master_token, c->advertise, node_token, c->agent_address, c->dir);
    return 0;
}

/* ---- join ---- */

struct joining {
    uv_loop_t loop;
    struct rpc_session *rpc;
    struct master_config *c;
    const char *key_pem;
    bool done;
    bool reached; /* somebody has answered, be it with a refusal */
    int rv;
    struct error *err;
};

static int save_joined(struct joining *j, struct mp result)
{
    struct master_config *c = j->c;
    struct str seal = STR_NONE;
    struct mp seal_mp = mp_get(result, "sealKey");
    struct str cert = mp_str(mp_get(result, "certificate")), ca = mp_str(mp_get(result, "ca"));
    struct str ca_key = mp_str(mp_get(result, "caKey")), cluster = mp_str(mp_get(result, "cluster"));
    c->id = (uint64_t)mp_int(mp_get(result, "id"), 0);
    mp_read_bin(&seal_mp, &seal);
    if (c->id == 0 || cert.n == 0 || ca.n == 0 || ca_key.n == 0 || seal.n != 32) {
        return error_set(j->err, ERR_PROTOCOL, "the master's answer to join lacks what a master needs");
    }
    snprintf(c->cluster, sizeof c->cluster, "%.*s", STR_ARG(cluster));
    const struct {
        const char *file;
        struct str text;
        unsigned mode;
    } files[] = {{"ca.crt", ca, 0644}, {"ca.key", ca_key, 0600}, {"master.crt", cert, 0644}};
    char path[600];
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        master_config_path(c, files[i].file, path, sizeof path);
        int rv = pki_write_file(path, files[i].text.p, files[i].text.n, files[i].mode, j->err);
        if (rv != 0) {
            return rv;
        }
    }
    int rv = write_file(c, "master.key", j->key_pem, 0600, j->err);
    if (rv == 0) {
        rv = write_seal_key(c, (const uint8_t *)seal.p, j->err);
    }
    for (struct mp_iter it = mp_iter(mp_get(result, "masters")); mp_next(&it);) {
        struct str addr = mp_str(it.value);
        if (c->join_count < MASTER_JOIN_ADDRESSES_MAX && !str_is(addr, c->advertise)) {
            snprintf(c->join_addresses[c->join_count++], NET_ADDR_MAX, "%.*s", STR_ARG(addr));
        }
    }
    return rv != 0 ? rv : master_config_save(c, j->err);
}

static void joined(const struct rpc_result *result, void *data)
{
    struct joining *j = data;
    j->done = true;
    j->reached = j->reached || result->error == NULL || (result->sent && result->error->code != ERR_CLOSED);
    if (result->error != NULL) {
        *j->err = *result->error;
        j->rv = result->error->code;
    } else {
        j->rv = save_joined(j, result->result);
    }
    rpc_session_close(j->rpc);
}

/* A call that the end of the connection cut hears only that it was closed; why (a certificate that is not trusted, say) comes here. */
static void closed(struct rpc_session *rpc, const struct error *why, void *data)
{
    (void)rpc;
    struct joining *j = data;
    if (why != NULL && j->rv == ERR_CLOSED) {
        *j->err = *why;
        j->rv = why->code;
    }
}

static int ask(struct joining *j, const char *token, const char *addr, const char *csr, const char *fingerprint,
               int64_t timeout_ms)
{
    struct net_tls *tls;
    char sans[1024];
    struct master_config *c = j->c;
    int rv = net_tls_new(NULL, NULL, NULL, fingerprint, &tls, j->err);
    if (rv != 0) {
        return rv;
    }
    uv_loop_init(&j->loop);
    j->done = false;
    j->rv = ERR_CLOSED;
    setup_sans(c, sans, sizeof sans);
    struct buf b = BUF_INIT;
    mp_write_map(&b, 6);
    mp_write_key_str(&b, "token", (struct str){token, strcspn(token, "@")});
    mp_write_key_str(&b, "role", STR("master"));
    mp_write_key_str(&b, "name", str_of(c->name[0] == '\0' ? "master" : c->name));
    mp_write_key_str(&b, "csr", str_of(csr));
    mp_write_key_str(&b, "sans", str_of(sans));
    mp_write_key_str(&b, "address", str_of(c->advertise));
    j->rpc = rpc_session_connect(&j->loop, tls, addr, ALPN_RPC, timeout_ms,
                                 &(struct rpc_config){.handler.on_close = closed, .data = j});
    rpc_call(j->rpc, "join", buf_str(&b), timeout_ms, joined, j);
    while (uv_run(&j->loop, UV_RUN_DEFAULT) != 0) {
    }
    uv_loop_close(&j->loop);
    buf_close(&b);
    net_tls_unref(tls);
    return j->rv;
}

int setup_join(struct master_config *c, const char *token, const char *addresses, int64_t timeout_ms, struct error *err)
{
    const char *at = strchr(token, '@');
    fill_defaults(c);
    if (at == NULL || strlen(at + 1) != 32) {
        return error_set(err, ERR_USAGE,
                         "malformed token: expected ID.SECRET@FINGERPRINT as `rctl token create` prints it");
    }
    int rv = make_dir(c, err);
    if (rv != 0) {
        return rv;
    }
    char *csr = NULL, *key = NULL;
    struct pki_identity who = {.role = PKI_ROLE_MASTER, .name = "joining"};
    rv = pki_make_request(&who, &csr, &key, err);
    if (rv != 0) {
        return rv;
    }
    struct joining j = {.c = c, .key_pem = key, .err = err};
    char *list = xstrdup(addresses), *save = NULL;
    rv = ERR_USAGE;
    int64_t start = env_now_ms(env_real());
    error_set(err, ERR_USAGE, "no master's address given");
    /* A cluster that has just lost or not yet found its leader says "try again": until the time is over. If nobody listens at all, the
     * address is likely wrong: only as long as a master needs to start. */
    do {
        char *copy = xstrdup(list);
        for (char *addr = strtok_r(copy, ",", &save); addr != NULL && rv != 0; addr = strtok_r(NULL, ",", &save)) {
            rv = ask(&j, token, addr, csr, at + 1, 10000);
            if (rv != 0) {
                error_wrap(err, "join by %s", addr);
            }
        }
        free(copy);
        if (rv != 0 && err_class(rv) == ERR_CLASS_RETRY) {
            uv_sleep(200);
        }
    } while (rv != 0 && err_class(rv) == ERR_CLASS_RETRY &&
             env_now_ms(env_real()) - start < (j.reached ? timeout_ms : MIN(timeout_ms, SETUP_REFUSED_MS)));
    free(list);
    free(csr);
    pki_free_key(key);
    if (rv == 0) {
        printf("Master %" PRIu64 " of cluster %s is prepared in %s. Start it:\n\n    reeve-master run --dir %s\n",
               c->id, c->cluster, c->dir, c->dir);
    }
    return rv;
}
