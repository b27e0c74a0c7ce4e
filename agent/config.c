#include "agent/config.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/util/fsutil.h"
#include "proto/model/msgpack.h"
#include "proto/net/loop.h"
#include "proto/rpc/api.h"
#include "proto/rpc/rpc.h"
#include "proto/text/text.h"

#define JOIN_MS       15000
#define FINGERPRINT_N 32

/* ---- Reading ---- */

static const char *text_of(struct arena *a, struct str s)
{
    return s.p == NULL ? NULL : arena_strndup(a, s.p, s.n);
}

static int read_masters(struct config *c, const struct value *list, const char *file, struct error *err)
{
    unsigned n = value_count(list);
    if (!value_is_list(list) || n == 0 || n > CONFIG_MASTERS_MAX) {
        return error_set_field(err, ERR_INVALID, "masters", "%s: masters: a list of 1 to %u addresses is needed", file,
                               CONFIG_MASTERS_MAX);
    }
    const char **masters = arena_alloc(&c->arena, (n + 1) * sizeof *masters);
    for (unsigned i = 0; i < n; i++) {
        masters[i] = text_of(&c->arena, value_to_str(value_item(list, i)));
        if (masters[i] == NULL || masters[i][0] == '\0') {
            return error_set_field(err, ERR_INVALID, "masters", "%s: masters[%u] is no address", file, i);
        }
    }
    c->masters = masters;
    return 0;
}

int config_load(struct config *c, const char *dir, struct error *err)
{
    char absolute[FS_PATH_MAX];
    *c = (struct config){0};
    arena_init(&c->arena);
    if (realpath(dir, absolute) == NULL) {
        return error_set(err, ERR_NOT_FOUND,
                         "%s: %s; join a cluster first: reeve-agent join --dir %s --name NAME --token TOKEN MASTER",
                         dir, strerror(errno), dir);
    }
    if (strlen(absolute) > FS_BASE_MAX) {
        return error_set(err, ERR_INVALID,
                         "%s: the path has %zu characters, and the files below it would have too long ones; at most %u "
                         "are allowed: move the directory",
                         absolute, strlen(absolute), FS_BASE_MAX);
    }
    c->dir = arena_strdup(&c->arena, absolute);
    const char *file = arena_printf(&c->arena, "%s/agent.yaml", c->dir);
    CLEANUP_FREE char *text = NULL;
    size_t size;
    struct value **docs;
    unsigned count;
    int rv = pki_read_file(file, PKI_PEM_MAX, &text, &size, err);
    if (rv != 0) {
        error_wrap(err, "this directory has not joined a cluster (reeve-agent join)");
        return rv;
    }
    rv = yaml_read(&c->arena, (struct str){text, size}, file, &docs, &count, err);
    if (rv != 0) {
        return rv;
    }
    const struct value *doc = count > 0 ? docs[0] : NULL;
    c->name = text_of(&c->arena, value_to_str(value_get(doc, "name")));
    c->cluster = text_of(&c->arena, value_to_str(value_get(doc, "cluster")));
    if (c->name == NULL || c->name[0] == '\0') {
        return error_set_field(err, ERR_INVALID, "name", "%s: name: the name of the node is needed", file);
    }
    return read_masters(c, value_get(doc, "masters"), file, err);
}

void config_close(struct config *c)
{
    arena_close(&c->arena);
}

int config_tls(const struct config *c, struct net_tls **out, struct error *err)
{
    CLEANUP_FREE char *ca_path = xasprintf("%s/ca.pem", c->dir);
    CLEANUP_FREE char *cert_path = xasprintf("%s/agent.pem", c->dir);
    CLEANUP_FREE char *key_path = xasprintf("%s/agent.key", c->dir);
    CLEANUP_FREE char *ca = NULL;
    CLEANUP_FREE char *cert = NULL;
    char *key = NULL;
    int rv = pki_read_file(ca_path, PKI_PEM_MAX, &ca, NULL, err);
    rv = rv != 0 ? rv : pki_read_pair(cert_path, key_path, &cert, &key, err);
    rv = rv != 0 ? rv : net_tls_new_lenient(ca, cert, key, out, err);
    if (rv != 0) {
        error_wrap(err, "certificate of node %s in %s", c->name, c->dir);
    }
    pki_free_key(key);
    return rv;
}

int config_parse_masters(struct arena *a, const char *text, const char *const **out, struct error *err)
{
    const char **list = arena_alloc(a, (CONFIG_MASTERS_MAX + 1) * sizeof *list);
    unsigned n = 0;
    char *copy = arena_strdup(a, text), *save = NULL;
    for (char *part = strtok_r(copy, ", ", &save); part != NULL; part = strtok_r(NULL, ", ", &save)) {
        const char *colon = strrchr(part, ':');
        bool has_port = colon != NULL && (part[0] != '[' ? strchr(part, ':') == colon : colon[-1] == ']');
        if (n == CONFIG_MASTERS_MAX) {
            return error_set(err, ERR_USAGE, "more than %u masters", CONFIG_MASTERS_MAX);
        }
        list[n++] = has_port ? part : arena_printf(a, "%s:%d", part, API_PORT_DEFAULT);
    }
    *out = list;
    return n > 0 ? 0 : error_set(err, ERR_USAGE, "no address of a master was given");
}

/* ---- Joining ---- */

struct joining {
    const struct config_join *join;
    uv_loop_t loop;
    struct rpc_session *session;
    char *csr, *key;
    const char *fingerprint;
    bool done; /* answered, one way or the other */
    int rv;
    struct error error;
};

/* The certificate must come from the CA the token names, and be for us. */
static int check_answer(struct joining *j, const char *ca, const char *certificate, struct error *err)
{
    char fingerprint[33];
    struct pki_identity who;
    int64_t from, to;
    int rv = pki_cert_fingerprint(ca, fingerprint, err);
    rv = rv != 0 ? rv : pki_cert_info(certificate, &who, &from, &to, err);
    if (rv == 0 && strcmp(fingerprint, j->fingerprint) != 0) {
        rv = error_set(err, ERR_UNAUTHORIZED, "the master's CA is not the one of the token");
    } else if (rv == 0 && (who.role != PKI_ROLE_NODE || strcmp(who.name, j->join->name) != 0)) {
        rv =
            error_set(err, ERR_PROTOCOL, "the master certified \"%s\" instead of node \"%s\"", who.name, j->join->name);
    } else if (rv == 0 && !pki_pair_fits(certificate, j->key)) {
        rv = error_set(err, ERR_PROTOCOL, "the master certified another key than ours");
    }
    return rv;
}

static bool is_loopback(const char *address)
{
    return strncmp(address, "127.", 4) == 0 || strncmp(address, "localhost:", 10) == 0 ||
           strncmp(address, "[::1]", 5) == 0;
}

/* Addresses from an answer that only the masters' own machine can use are of no use to a node that came another way. */
static bool is_usable(const struct joining *j, const char *address)
{
    return address[0] != '\0' && (!is_loopback(address) || is_loopback(j->join->masters[0]));
}

static void add_master(struct buf *yaml, const char *address)
{
    CLEANUP_FREE char *line = xasprintf("- %s\n", address);
    if (yaml->size == 0 || strstr(buf_cstr(yaml), line) == NULL) {
        buf_puts(yaml, line);
    }
}

static int write_dir(struct joining *j, struct mp result, const char *ca, const char *certificate, struct error *err)
{
    CLEANUP_BUF struct buf yaml = BUF_INIT;
    CLEANUP_BUF struct buf masters = BUF_INIT;
    const char *dir = j->join->dir;
    for (unsigned i = 0; j->join->masters[i] != NULL; i++) {
        add_master(&masters, j->join->masters[i]);
    }
    for (struct mp_iter it = mp_iter(mp_get(result, "masters")); mp_next(&it);) {
        CLEANUP_FREE char *address = xstrndup(mp_str(it.value).p == NULL ? "" : mp_str(it.value).p, mp_str(it.value).n);
        if (is_usable(j, address)) {
            add_master(&masters, address);
        }
    }
    buf_printf(&yaml,
               "# Written by reeve-agent join. Any master will do: it names the leader.\nname: %s\ncluster: "
               "%.*s\nmasters:\n%s",
               j->join->name, STR_ARG(mp_str(mp_get(result, "cluster"))), buf_cstr(&masters));
    CLEANUP_FREE char *ca_path = xasprintf("%s/ca.pem", dir);
    CLEANUP_FREE char *cert_path = xasprintf("%s/agent.pem", dir);
    CLEANUP_FREE char *key_path = xasprintf("%s/agent.key", dir);
    CLEANUP_FREE char *yaml_path = xasprintf("%s/agent.yaml", dir);
    int rv = fs_make_private_dir(dir, err);
    rv = rv != 0 ? rv : pki_write_file(ca_path, ca, strlen(ca), 0644, err);
    rv = rv != 0 ? rv : pki_write_pair(cert_path, key_path, certificate, j->key, err);
    /* Last: it makes the directory valid. */
    return rv != 0 ? rv : pki_write_file(yaml_path, buf_cstr(&yaml), yaml.size, 0644, err);
}

static void on_joined(const struct rpc_result *r, void *data)
{
    struct joining *j = data;
    if (r->error != NULL) {
        j->rv = r->error->code;
        j->error = *r->error;
        j->done = !r->error->code || err_class(j->rv) != ERR_CLASS_RETRY;
        rpc_session_close(j->session);
        return;
    }
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    const char *ca = text_of(&a, mp_str(mp_get(r->result, "ca")));
    const char *certificate = text_of(&a, mp_str(mp_get(r->result, "certificate")));
    j->done = true;
    if (ca == NULL || certificate == NULL) {
        j->rv = error_set(&j->error, ERR_PROTOCOL, "the master's answer has no certificate");
    } else {
        j->rv = check_answer(j, ca, certificate, &j->error);
        j->rv = j->rv != 0 ? j->rv : write_dir(j, r->result, ca, certificate, &j->error);
    }
    rpc_session_close(j->session);
}

static void on_session_closed(struct rpc_session *s, const struct error *why, void *data)
{
    struct joining *j = data;
    (void)s;
    if (!j->done && why != NULL && (j->rv == ERR_CLOSED || j->rv == 0)) {
        j->rv = why->code != 0 ? why->code : ERR_CLOSED;
        j->error = *why;
    }
}

static void try_master(struct joining *j, struct net_tls *tls, const char *address)
{
    CLEANUP_BUF struct buf params = BUF_INIT;
    struct rpc_config config = {.handler = {.on_close = on_session_closed}, .data = j, .log = j->join->log};
    mp_write_map(&params, 4);
    mp_write_key_str(&params, "token", str_of(j->join->token));
    mp_write_key_str(&params, "role", STR("node"));
    mp_write_key_str(&params, "name", str_of(j->join->name));
    mp_write_key_str(&params, "csr", str_of(j->csr));
    j->rv = 0;
    j->session = rpc_session_connect(&j->loop, tls, address, ALPN_RPC, JOIN_MS, &config);
    rpc_call(j->session, "join", buf_str(&params), JOIN_MS, on_joined, j);
    uv_run(&j->loop, UV_RUN_DEFAULT);
    if (j->rv != 0) {
        error_wrap(&j->error, "join by master %s", address);
    }
}

int config_join(const struct config_join *join, struct error *err)
{
    struct joining j = {.join = join};
    struct pki_identity who = {.role = PKI_ROLE_NODE};
    struct net_tls *tls = NULL;
    const char *at = strchr(join->token, '@');
    assert(join->masters[0] != NULL);
    if (at == NULL || strlen(at + 1) != FINGERPRINT_N || strchr(join->token, '.') == NULL) {
        return error_set(err, ERR_USAGE,
                         "the token is malformed: it must be ID.SECRET@FINGERPRINT, as `rctl token` or `reeve-master "
                         "init` prints it");
    }
    j.fingerprint = at + 1;
    snprintf(who.name, sizeof who.name, "%s", join->name);
    int rv = pki_make_request(&who, &j.csr, &j.key, err);
    rv = rv != 0 ? rv : net_tls_new(NULL, NULL, NULL, j.fingerprint, &tls, err);
    rv = rv != 0 ? rv : net_loop_init(&j.loop, err);
    if (rv == 0) {
        for (unsigned i = 0; join->masters[i] != NULL && !j.done; i++) {
            try_master(&j, tls, join->masters[i]);
        }
        uv_loop_close(&j.loop);
        rv = j.rv;
        if (rv != 0 && err != NULL) {
            *err = j.error;
        }
    }
    net_tls_unref(tls);
    free(j.csr);
    pki_free_key(j.key);
    return rv;
}
