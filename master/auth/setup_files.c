/* The files of a data directory, for all who make one. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/env.h"
#include "base/failpoint.h"
#include "master/auth/setup.h"
#include "master/auth/tokens.h"
#include "proto/facts/cluster.h"
#include "proto/text/text.h"
#include "raft-store/raft/seed.h"

/* ---- Files ---- */

int setup_write_file(const struct master_config *c, const char *file, const char *text, unsigned mode,
                     struct error *err)
{
    char path[600];
    master_config_path(c, file, path, sizeof path);
    return pki_write_file(path, text, strlen(text), mode, err);
}

static bool there(const struct master_config *c, const char *file)
{
    char path[600];
    master_config_path(c, file, path, sizeof path);
    return access(path, F_OK) == 0;
}

static int make_dir(const struct master_config *c, struct error *err)
{
    return mkdir(c->dir, 0700) == 0 || errno == EEXIST ? 0 : error_set_errno(err, errno, "make directory %s", c->dir);
}

int setup_make_dir(const struct master_config *c, struct error *err)
{
    int rv = make_dir(c, err);
    if (rv == 0 && there(c, "removed")) {
        rv =
            error_set(err, ERR_EXISTS,
                      "%s holds what is left of a master that was removed from its cluster; delete it, or give another "
                      "--dir",
                      c->dir);
    } else if (rv == 0 && there(c, "master.yaml")) {
        rv = error_set(
            err, ERR_EXISTS,
            "%s holds a master already; start it with `reeve-master run --dir %s`, or, to make another one, move it "
            "away first",
            c->dir, c->dir);
    } else if (rv == 0 && there(c, MASTER_UNFINISHED)) {
        rv = error_set(err, ERR_EXISTS,
                       "%s was left unfinished by a restore; run that again to complete it, or remove the directory",
                       c->dir);
    }
    return rv;
}

/* Names of what a data directory may hold when it was left unfinished: what setup_write_state writes, and
 * pki_write_file's own on the way there. */
static bool is_ours(const char *name)
{
    static const char *const files[] = {"ca.crt",      "ca.key",         "seal.key", "master.crt",
                                        "master.key",  "admin.config",   "tokens",   MASTER_CLUSTER_FILE,
                                        "master.yaml", MASTER_UNFINISHED};
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        size_t n = strlen(files[i]);
        if (strncmp(name, files[i], n) == 0 && (name[n] == '\0' || (name[n] == '.' && strlen(name + n) == 7))) {
            return true;
        }
    }
    return strcmp(name, "raft") == 0;
}

int setup_check_dir(const struct master_config *c, struct error *err)
{
    if (there(c, "master.yaml")) {
        return error_set(err, ERR_EXISTS,
                         "%s holds a master already; stop it and give another --dir, or move that directory away",
                         c->dir);
    }
    bool unfinished = there(c, MASTER_UNFINISHED);
    DIR *d = opendir(c->dir);
    if (d == NULL) {
        return errno == ENOENT ? 0 : error_set_errno(err, errno, "open directory %s", c->dir);
    }
    int rv = 0;
    for (struct dirent *e; rv == 0 && (e = readdir(d)) != NULL;) {
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 && strcmp(e->d_name, "lost+found") != 0 &&
            !(unfinished && is_ours(e->d_name))) {
            rv = error_set(err, ERR_EXISTS, "%s is not empty (it holds %s); give a directory that is, or a new one",
                           c->dir, e->d_name);
        }
    }
    closedir(d);
    return rv;
}

/* Files only: raft/ has no directories in it. */
int setup_remove_raft_dir(const struct master_config *c, const char *name, struct error *err)
{
    char dir[600], path[900];
    master_config_path(c, name, dir, sizeof dir);
    DIR *d = opendir(dir);
    if (d == NULL) {
        return errno == ENOENT ? 0 : error_set_errno(err, errno, "open directory %s", dir);
    }
    int rv = 0;
    for (struct dirent *e; rv == 0 && (e = readdir(d)) != NULL;) {
        snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        if (e->d_name[0] != '.' && unlink(path) != 0) {
            rv = error_set_errno(err, errno, "remove %s", path);
        }
    }
    closedir(d);
    return rv == 0 && rmdir(dir) != 0 ? error_set_errno(err, errno, "remove directory %s", dir) : rv;
}

void setup_fill_defaults(struct master_config *c)
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

/* What programs in pods know the masters by: the Service kubernetes, whose address is the first one of the range that
 * is the default. Clusters with another range and domain are known by kubernetes.default.svc. */
#define SERVICE_SANS                                                                                                   \
    "kubernetes,kubernetes.default,kubernetes.default.svc,kubernetes.default.svc." CLUSTER_DNS_DOMAIN ",10.96.0.1"

/* Names and addresses for the certificate: those of listen, advertise and agent_address, localhost and the Service. */
void setup_sans(const struct master_config *c, char *out, size_t size)
{
    const char *const addrs[] = {c->listen, c->advertise, c->agent_address};
    int n = snprintf(out, size, "localhost,127.0.0.1," SERVICE_SANS);
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

void setup_put_seal_keys(struct buf *b, const struct pki_ring *keys)
{
    mp_write_cstr(b, "sealKey");
    mp_write_bin(b, pki_ring_sealing(keys), PKI_SEAL_KEY_SIZE);
    mp_write_cstr(b, "sealKeys");
    mp_write_array(b, keys->count);
    for (unsigned i = 0; i < keys->count; i++) {
        mp_write_bin(b, keys->keys[i], PKI_SEAL_KEY_SIZE);
    }
}

static bool add_key(struct mp from, struct pki_ring *out)
{
    struct str key = STR_NONE;
    return mp_read_bin(&from, &key) && key.n == PKI_SEAL_KEY_SIZE && pki_ring_add(out, (const uint8_t *)key.p) == 0;
}

/* Masters before there were several give the one alone. */
bool setup_get_seal_keys(struct mp answer, struct pki_ring *out)
{
    struct mp all = mp_get(answer, "sealKeys");
    *out = (struct pki_ring){0};
    bool ok = mp_count(all) > 0 || add_key(mp_get(answer, "sealKey"), out);
    for (struct mp_iter it = mp_iter(all); ok && mp_next(&it);) {
        ok = add_key(it.value, out);
    }
    if (!ok) {
        pki_ring_wipe(out);
    }
    return ok;
}

static void put_data(struct arena *a, struct value *map, const char *key, const char *pem)
{
    struct buf b = BUF_INIT;
    base64_write(&b, pem, strlen(pem));
    value_set(a, map, key, value_str(a, buf_str(&b)));
    mem_wipe(b.data, b.size);
    buf_close(&b);
}

int setup_write_admin(const struct master_config *c, const char *ca, const char *cert, const char *key,
                      struct error *err)
{
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
    int rv = pki_write_file(path, text.data, text.size, 0600, err);
    mem_wipe(text.data, text.size);
    buf_close(&text);
    arena_close(&a);
    return rv;
}

int setup_issue_admin(const struct master_config *c, const char *ca, const char *ca_key, struct error *err)
{
    char *cert = NULL, *key = NULL;
    struct pki_identity who = {.role = PKI_ROLE_ADMIN, .name = "admin"};
    int rv = pki_issue(ca, ca_key, &who, NULL, master_config_cert_life_s(c, who.role), &cert, &key, err);
    rv = rv != 0 ? rv : setup_write_admin(c, ca, cert, key, err);
    free(cert);
    pki_free_key(key);
    return rv;
}

static int write_tokens(const struct master_config *c, const char *ca, char master[TOKEN_SIZE], char node[TOKEN_SIZE],
                        struct error *err)
{
    char text[2 * TOKEN_SIZE + 96];
    int64_t uses = c->token_uses == 0 ? 1 : c->token_uses;
    token_text(env_real(), ca, master);
    token_text(env_real(), ca, node);
    snprintf(text, sizeof text, "master %s %" PRId64 "\nnode %s %" PRId64 "\n", master, uses, node, uses);
    int rv = setup_write_file(c, "tokens", text, 0600, err);
    mem_wipe(text, sizeof text);
    return rv;
}

int setup_read_ca(const struct master_config *c, char **ca, char **ca_key, struct error *err)
{
    char path[600];
    *ca = *ca_key = NULL;
    master_config_path(c, "ca.crt", path, sizeof path);
    int rv = pki_read_file(path, PKI_PEM_MAX, ca, NULL, err);
    if (rv == 0) {
        master_config_path(c, "ca.key", path, sizeof path);
        rv = there(c, "ca.key") ? pki_read_file(path, PKI_PEM_MAX, ca_key, NULL, err) : 0;
    }
    char *sorted = rv == 0 && *ca_key != NULL ? pki_issuer_first(*ca, *ca_key) : NULL;
    if (sorted != NULL) { /* else whoever uses them says what is wrong */
        free(*ca);
        *ca = sorted;
    }
    return rv;
}

int setup_check_ca(const char *ca, const char *ca_key, struct error *err)
{
    struct pki_identity who = {.role = PKI_ROLE_NODE, .name = "trial"};
    char *cert = NULL, *key = NULL;
    struct net_tls *tls = NULL;
    int rv = pki_issue(ca, ca_key, &who, NULL, 60, &cert, &key, err);
    if (rv == 0) {
        rv = net_tls_new(ca, cert, key, NULL, &tls, err);
    }
    net_tls_unref(tls);
    free(cert);
    pki_free_key(key);
    return rv;
}

int setup_issue(const struct master_config *c, const char *ca, const char *ca_key, char **cert, char **key,
                struct error *err)
{
    char sans[SETUP_SANS_MAX];
    struct pki_identity who = {.role = PKI_ROLE_MASTER};
    snprintf(who.name, sizeof who.name, "%" PRIu64, c->id);
    setup_sans(c, sans, sizeof sans);
    return pki_issue(ca, ca_key, &who, sans, master_config_cert_life_s(c, who.role), cert, key, err);
}

int setup_write_identity(const struct master_config *c, const char *ca, const char *ca_key, struct error *err)
{
    char *cert = NULL, *key = NULL;
    int rv = setup_issue(c, ca, ca_key, &cert, &key, err);
    if (rv == 0) {
        rv = setup_write_file(c, "master.crt", cert, 0644, err);
    }
    if (rv == 0) {
        rv = setup_write_file(c, "master.key", key, 0600, err);
    }
    free(cert);
    pki_free_key(key);
    return rv;
}

/* ---- A whole directory ---- */

_Static_assert(SETUP_TOKEN_SIZE == TOKEN_SIZE, "one size of tokens");

int setup_write_raft_dir(const struct master_config *c, const char *name, const struct setup_state *state,
                         struct error *err)
{
    char dir[600];
    master_config_path(c, name, dir, sizeof dir);
    int rv = setup_remove_raft_dir(c, name, err);
    if (rv != 0) {
        return rv;
    }
    if (mkdir(dir, 0700) != 0) {
        return error_set_errno(err, errno, "make directory %s", dir);
    }
    return seed_write(
        dir,
        &(struct seed){
            .id = c->id, .address = c->advertise, .term = state->term, .index = state->index, .state = state->fork},
        err);
}

int setup_write_state(const struct master_config *c, const struct setup_keys *keys, const struct setup_state *state,
                      struct setup_tokens *tokens, struct error *err)
{
    int rv = state == NULL ? setup_make_dir(c, err) : setup_check_dir(c, err);
    if (rv == 0 && state != NULL && (rv = make_dir(c, err)) == 0) {
        rv = setup_write_file(c, MASTER_UNFINISHED, "this directory is not complete yet\n", 0644, err);
    }
    if (rv != 0 || (rv = setup_write_file(c, "ca.crt", keys->ca, 0644, err)) != 0 ||
        (rv = setup_write_file(c, "ca.key", keys->ca_key, 0600, err)) != 0 ||
        (rv = master_config_save_seal_keys(c, keys->seal_keys, err)) != 0 ||
        (rv = setup_write_identity(c, keys->ca, keys->ca_key, err)) != 0 ||
        (rv = setup_issue_admin(c, keys->ca, keys->ca_key, err)) != 0 ||
        (rv = write_tokens(c, keys->ca, tokens->master, tokens->node, err)) != 0) {
        return rv;
    }
    if (failpoint(FAILPOINT_setup_before_state)) {
        return error_set(err, ERR_IO, "%s: write the state: failed by a failpoint", c->dir);
    }
    if (state != NULL && (rv = setup_write_raft_dir(c, "raft", state, err)) != 0) {
        return rv;
    }
    if (failpoint(FAILPOINT_setup_before_config)) {
        return error_set(err, ERR_IO, "%s: write master.yaml: failed by a failpoint", c->dir);
    }
    rv = master_config_save(c, err); /* last: its presence says that the directory is whole */
    if (rv == 0 && state != NULL) {
        char path[600];
        master_config_path(c, MASTER_UNFINISHED, path, sizeof path);
        unlink(path); /* if it stays behind a crash: master.yaml counts */
    }
    return rv;
}
