#include "master/config.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file_lock.h"
#include "base/machine.h"
#include "base/mem.h"
#include "controllers/usage.h"
#include "proto/pki/pki.h"
#include "proto/rpc/api.h"
#include "proto/text/text.h"

#define SEAL_FILE "seal.key"

void master_config_path(const struct master_config *c, const char *file, char *out, size_t size)
{
    snprintf(out, size, "%s/%s", c->dir, file);
}

int64_t master_config_cert_life_s(const struct master_config *c, enum pki_role role)
{
    if (role == PKI_ROLE_ADMIN || role == PKI_ROLE_USER) {
        return c->admin_cert_life_s > 0 ? c->admin_cert_life_s : PKI_ADMIN_CERT_VALID_S;
    }
    return c->cert_life_s > 0 ? c->cert_life_s : PKI_CERT_VALID_S;
}

void master_config_state(const struct master_config *c, uint64_t *bytes, uint64_t *objects)
{
    *bytes = c->state_mbytes > 0 ? (uint64_t)c->state_mbytes << 20 : machine_memory_bytes() / 8;
    *objects = c->state_objects > 0 ? (uint64_t)c->state_objects : *bytes / 1024;
}

uint64_t master_config_events(const struct master_config *c)
{
    uint64_t least = 8u << 20, most = 128u << 20, share = machine_memory_bytes() / 64;
    return c->events_mbytes > 0 ? (uint64_t)c->events_mbytes << 20 : MIN(MAX(share, least), most);
}

uint64_t master_config_queue(const struct master_config *c)
{
    uint64_t least = 64u << 20, most = 1u << 30, share = machine_memory_bytes() / 32;
    return c->queue_mbytes > 0 ? (uint64_t)c->queue_mbytes << 20 : MIN(MAX(share, least), most);
}

static void copy(char *out, size_t size, struct str s)
{
    snprintf(out, size, "%.*s", STR_ARG(s));
}

static int parse(struct value *doc, const char *path, struct master_config *c, struct error *err)
{
    static const char *const known[] = {"id",
                                        "name",
                                        "cluster",
                                        "listen",
                                        "advertise",
                                        "agentAddress",
                                        "join",
                                        "bootstrap",
                                        "started",
                                        "rejoin",
                                        "recovered",
                                        "featureLevel",
                                        "electionTimeoutMs",
                                        "electionTimeoutMaxMs",
                                        "heartbeatMs",
                                        "nodeGraceMs",
                                        "agentHeartbeatMs",
                                        "agentUsageMs",
                                        "snapshotEntries",
                                        "snapshotMegabytes",
                                        "queueMegabytes",
                                        "nodeRequestsPerSecond",
                                        "userRequestsPerSecond",
                                        "stateMegabytes",
                                        "stateObjects",
                                        "eventsMegabytes",
                                        "certLifeSeconds",
                                        "adminCertLifeSeconds"};
    if (!value_is_map(doc)) {
        return error_set(err, ERR_INVALID, "%s: expected a map with id, listen, advertise, ...", path);
    }
    for (unsigned i = 0; i < value_count(doc); i++) {
        bool found = false;
        for (size_t j = 0; j < ARRAY_SIZE(known); j++) {
            found |= str_is(doc->map.members[i].key, known[j]);
        }
        if (!found) {
            return error_set(err, ERR_INVALID, "%s:%u: unknown setting \"%.*s\"", path, doc->map.members[i].line,
                             STR_ARG(doc->map.members[i].key));
        }
    }
    c->id = (uint64_t)value_path_int(doc, "id", 0);
    copy(c->name, sizeof c->name, value_path_str(doc, "name"));
    copy(c->cluster, sizeof c->cluster, value_path_str(doc, "cluster"));
    copy(c->listen, sizeof c->listen, value_path_str(doc, "listen"));
    copy(c->advertise, sizeof c->advertise, value_path_str(doc, "advertise"));
    copy(c->agent_address, sizeof c->agent_address, value_path_str(doc, "agentAddress"));
    c->bootstrap = value_path_bool(doc, "bootstrap", false);
    c->started = value_path_bool(doc, "started", false);
    c->recovered = value_path_bool(doc, "recovered", false);
    copy(c->rejoin, sizeof c->rejoin, value_path_str(doc, "rejoin"));
    c->feature_level = (unsigned)value_path_int(doc, "featureLevel", 0);
    c->election_timeout_ms = (unsigned)value_path_int(doc, "electionTimeoutMs", MASTER_ELECTION_MS_DEFAULT);
    c->election_max_ms = (unsigned)value_path_int(doc, "electionTimeoutMaxMs", MASTER_ELECTION_MAX_MS_DEFAULT);
    c->heartbeat_ms = (unsigned)value_path_int(doc, "heartbeatMs", MASTER_RAFT_HEARTBEAT_MS_DEFAULT);
    c->node_grace_ms = value_path_int(doc, "nodeGraceMs", API_NODE_GRACE_MS_DEFAULT);
    c->agent_heartbeat_ms = value_path_int(doc, "agentHeartbeatMs", API_HEARTBEAT_MS_DEFAULT);
    c->agent_usage_ms = value_path_int(doc, "agentUsageMs", USAGE_PERIOD_MS);
    c->snapshot_entries = (unsigned)value_path_int(doc, "snapshotEntries", 0);
    c->snapshot_mbytes = value_path_int(doc, "snapshotMegabytes", 0);
    c->queue_mbytes = value_path_int(doc, "queueMegabytes", 0);
    c->node_requests_s = value_path_int(doc, "nodeRequestsPerSecond", 0);
    c->user_requests_s = value_path_int(doc, "userRequestsPerSecond", 0);
    c->state_mbytes = value_path_int(doc, "stateMegabytes", 0);
    c->state_objects = value_path_int(doc, "stateObjects", 0);
    c->events_mbytes = value_path_int(doc, "eventsMegabytes", 0);
    c->cert_life_s = value_path_int(doc, "certLifeSeconds", 0);
    c->admin_cert_life_s = value_path_int(doc, "adminCertLifeSeconds", 0);
    const struct value *join = value_get(doc, "join");
    for (unsigned i = 0; i < value_count(join) && i < MASTER_JOIN_ADDRESSES_MAX; i++) {
        copy(c->join_addresses[c->join_count++], NET_ADDR_MAX, value_to_str(value_item(join, i)));
    }
    if (c->id == 0 || c->listen[0] == '\0' || c->advertise[0] == '\0') {
        return error_set(err, ERR_INVALID, "%s: id, listen and advertise are required", path);
    }
    if (c->node_requests_s < 0 || c->node_requests_s > MASTER_RATE_MAX || c->user_requests_s < 0 ||
        c->user_requests_s > MASTER_RATE_MAX) {
        return error_set(
            err, ERR_INVALID,
            "%s: nodeRequestsPerSecond and userRequestsPerSecond must be 0 (nodes: %d, users: no limit) to %d", path,
            MASTER_NODE_RATE_DEFAULT, MASTER_RATE_MAX);
    }
    if (c->node_grace_ms <= c->agent_heartbeat_ms) {
        return error_set(err, ERR_INVALID, "%s: nodeGraceMs (%" PRId64 ") must be above agentHeartbeatMs (%" PRId64 ")",
                         path, c->node_grace_ms, c->agent_heartbeat_ms);
    }
    if (c->agent_usage_ms < MASTER_USAGE_MS_MIN) {
        return error_set(err, ERR_INVALID, "%s: agentUsageMs (%" PRId64 ") must be at least %d", path,
                         c->agent_usage_ms, MASTER_USAGE_MS_MIN);
    }
    return 0;
}

int master_config_load(const char *dir, struct master_config *out, struct error *err)
{
    memset(out, 0, sizeof *out);
    snprintf(out->dir, sizeof out->dir, "%s", dir);
    out->log_level = LOG_LEVEL_INFO;
    char path[600];
    CLEANUP_FREE char *text = NULL;
    size_t size;
    master_config_path(out, "master.yaml", path, sizeof path);
    int rv = pki_read_file(path, 1 << 20, &text, &size, err);
    if (rv != 0) {
        char unfinished[600];
        master_config_path(out, MASTER_UNFINISHED, unfinished, sizeof unfinished);
        if (rv == ERR_NOT_FOUND && access(unfinished, F_OK) == 0) {
            return error_set(err, ERR_NOT_FOUND,
                             "%s was left unfinished by a restore; run `reeve-master restore` again, it starts anew",
                             dir);
        }
        error_wrap(err, "%s is no master's data directory; make one with `reeve-master init` or `reeve-master join`",
                   dir);
        return rv;
    }
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct value **docs;
    unsigned count;
    rv = yaml_read(&a, (struct str){text, size}, path, &docs, &count, err);
    if (rv != 0) {
        return rv;
    }
    if (count != 1) {
        return error_set(err, ERR_INVALID, "%s: expected one document, found %u", path, count);
    }
    rv = parse(docs[0], path, out, err);
    if (out->agent_address[0] == '\0') {
        snprintf(out->agent_address, sizeof out->agent_address, "%s", out->advertise);
    }
    return rv;
}

int master_config_save(const struct master_config *c, struct error *err)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct value *doc = value_map(&a);
    value_set(&a, doc, "id", value_int(&a, (int64_t)c->id));
    value_set(&a, doc, "name", value_cstr(&a, c->name));
    value_set(&a, doc, "cluster", value_cstr(&a, c->cluster));
    value_set(&a, doc, "listen", value_cstr(&a, c->listen));
    value_set(&a, doc, "advertise", value_cstr(&a, c->advertise));
    value_set(&a, doc, "agentAddress", value_cstr(&a, c->agent_address));
    if (c->join_count > 0) {
        struct value *join = value_list(&a);
        for (unsigned i = 0; i < c->join_count; i++) {
            value_append(&a, join, value_cstr(&a, c->join_addresses[i]));
        }
        value_set(&a, doc, "join", join);
    }
    value_set(&a, doc, "bootstrap", value_bool(&a, c->bootstrap));
    value_set(&a, doc, "started", value_bool(&a, c->started));
    if (c->recovered) {
        value_set(&a, doc, "recovered", value_bool(&a, true));
    }
    if (c->rejoin[0] != '\0') {
        value_set(&a, doc, "rejoin", value_cstr(&a, c->rejoin));
    }
    const struct {
        const char *key;
        int64_t value;
    } numbers[] = {
        {"featureLevel", c->feature_level},
        {"electionTimeoutMs", c->election_timeout_ms},
        {"electionTimeoutMaxMs", c->election_max_ms},
        {"heartbeatMs", c->heartbeat_ms},
        {"nodeGraceMs", c->node_grace_ms},
        {"agentHeartbeatMs", c->agent_heartbeat_ms},
        {"agentUsageMs", c->agent_usage_ms},
        {"snapshotEntries", c->snapshot_entries},
        {"snapshotMegabytes", c->snapshot_mbytes},
        {"queueMegabytes", c->queue_mbytes},
        {"nodeRequestsPerSecond", c->node_requests_s},
        {"userRequestsPerSecond", c->user_requests_s},
        {"stateMegabytes", c->state_mbytes},
        {"stateObjects", c->state_objects},
        {"eventsMegabytes", c->events_mbytes},
        {"certLifeSeconds", c->cert_life_s},
        {"adminCertLifeSeconds", c->admin_cert_life_s},
    };
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        if (numbers[i].value != 0) {
            value_set(&a, doc, numbers[i].key, value_int(&a, numbers[i].value));
        }
    }
    CLEANUP_BUF struct buf text = BUF_INIT;
    yaml_write(&text, doc);
    char path[600];
    master_config_path(c, "master.yaml", path, sizeof path);
    return pki_write_file(path, text.data, text.size, 0644, err);
}

int master_config_seal_keys(const struct master_config *c, struct pki_ring *out, struct error *err)
{
    char path[600];
    char *text = NULL;
    size_t size;
    *out = (struct pki_ring){0};
    master_config_path(c, SEAL_FILE, path, sizeof path);
    int rv = pki_read_file(path, PKI_RING_TEXT_MAX, &text, &size, err);
    if (rv == 0 && pki_ring_read((struct str){text, size}, out) != 0) {
        rv = error_set(err, ERR_CORRUPT,
                       "%s is damaged: expected 64 hexadecimal digits, or a line for each of several keys", path);
    }
    pki_free_key(text);
    return rv;
}

/* pki_write_file's own, from before a crash: they hold keys, too. */
static void remove_leftovers(const struct master_config *c)
{
    DIR *d = opendir(c->dir);
    size_t n = strlen(SEAL_FILE);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        if (strncmp(e->d_name, SEAL_FILE ".", n + 1) == 0 && strlen(e->d_name) == n + 7) {
            unlinkat(dirfd(d), e->d_name, 0);
        }
    }
    if (d != NULL) {
        closedir(d);
    }
}

int master_config_save_seal_keys(const struct master_config *c, const struct pki_ring *keys, struct error *err)
{
    char path[600];
    CLEANUP_BUF_WIPE struct buf text = BUF_INIT;
    master_config_path(c, SEAL_FILE, path, sizeof path);
    pki_ring_write(keys, &text);
    assert(text.size <= PKI_RING_TEXT_MAX);
    remove_leftovers(c);
    return pki_write_file(path, text.data, text.size, 0600, err);
}

int master_config_lock(const char *dir, int *fd, struct error *err)
{
    *fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*fd < 0) {
        return error_set_errno(err, errno, "open directory %s", dir);
    }
    if (!file_lock(*fd)) {
        close(*fd);
        *fd = -1;
        return error_set(err, ERR_BUSY, "%s is in use by another reeve-master; stop that one first", dir);
    }
    return 0;
}
