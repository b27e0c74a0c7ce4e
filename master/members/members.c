/* The cluster's own objects: its namespaces, the masters' addresses, the counter of master ids; hello and cluster
 * status.
 *
 * They are ordinary objects in namespace kube-system: ConfigMap reeve-cluster (record.h), ConfigMap reeve-masters (id
 * -> "ADVERTISE AGENT-ADDRESS"), Secrets bootstrap-token-ID. So they are replicated, backed up and seen with rctl
 * like all else. */
#include "master/members/members.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "master/api/watch.h"
#include "master/auth/account_keys.h"
#include "master/auth/certs.h"
#include "master/auth/policy.h"
#include "master/auth/revoked.h"
#include "master/auth/rotate.h"
#include "master/auth/tokens.h"
#include "master/counters.h"
#include "master/front/call.h"
#include "master/front/sessions.h"
#include "master/members/level.h"
#include "master/nodes/lease.h"
#include "master/nodes/nodes.h"
#include "master/record.h"
#include "proto/facts/cluster.h"
#include "proto/facts/condition.h"
#include "proto/facts/configdata.h"
#include "proto/facts/node_lease.h"
#include "proto/facts/priority.h"
#include "proto/facts/storage.h"
#include "proto/schema/release.h"
#include "proto/text/text.h"

#define SYSTEM_NS        STR("kube-system")
#define CLUSTER_FILE_MAX 65536u

static const struct view *tip_of(struct master *m)
{
    return store_tip(replica_store(m->replica));
}

static struct value *new_object(struct arena *a, const struct kind *k, const char *ns, const char *name)
{
    struct value *doc = value_map(a), *metadata = value_map(a);
    value_set(a, doc, "apiVersion", value_cstr(a, k->api_version));
    value_set(a, doc, "kind", value_cstr(a, k->name));
    value_set(a, doc, "metadata", metadata);
    value_set(a, metadata, "name", value_cstr(a, name));
    if (ns != NULL) {
        value_set(a, metadata, "namespace", value_cstr(a, ns));
    }
    return doc;
}

static void create_namespace(struct master *m, struct arena *a, struct txn *t, const char *name)
{
    const struct kind *k = kind_by_id(KIND_NAMESPACE);
    struct error err = {0};
    if (view_get(tip_of(m), k, STR_NONE, str_of(name)) != NULL) {
        return;
    }
    struct value *doc = new_object(a, k, NULL, name);
    value_append(a, value_ensure_list(a, value_ensure_map(a, doc, "spec"), "finalizers"), value_cstr(a, "kubernetes"));
    value_set(a, value_ensure_map(a, doc, "status"), "phase", value_cstr(a, "Active"));
    value_set(a, value_ensure_map(a, value_get(doc, "metadata"), "labels"), "kubernetes.io/metadata.name",
              value_cstr(a, name));
    if (txn_create_value(t, k, doc, &err) != 0) {
        log_error(&m->log, "members", "namespace %s: %s", name, err.message);
    }
}

/* Tokens that `reeve-master init` printed, before there was a store to hold them. The file goes once they are
 * committed. */
static void tokens_stored(const struct txn_result *result, const struct error *error, void *data)
{
    (void)result;
    struct master *m = data;
    if (error == NULL) {
        char path[600];
        master_config_path(&m->config, "tokens", path, sizeof path);
        remove(path);
        master_config_path(&m->config, MASTER_CLUSTER_FILE, path, sizeof path);
        remove(path);
    }
}

static void read_tokens(struct master *m, struct txn *t)
{
    char path[600];
    char *text = NULL;
    size_t size;
    master_config_path(&m->config, "tokens", path, sizeof path);
    if (pki_read_file(path, 4096, &text, &size, NULL) != 0) {
        return;
    }
    char *save = NULL;
    for (char *line = strtok_r(text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save)) {
        char role[16], token[TOKEN_SIZE];
        struct token_grant grant = {.uses = 1};
        if (sscanf(line, "%15s %79s %" SCNd64, role, token, &grant.uses) >= 2 && grant.uses >= 1 &&
            grant.uses <= API_TOKEN_USES_MAX) {
            grant.role = strcmp(role, "master") == 0 ? PKI_ROLE_MASTER : PKI_ROLE_NODE;
            token_store(m, t, &grant, token, TOKEN_TTL_S);
        }
        mem_wipe(token, sizeof token);
    }
    mem_wipe(text, size);
    free(text);
}

/* The cluster's configuration, from what `reeve-master init` has left. A cluster that was made before there was one
 * has no such file. */
static void create_cluster_config(struct master *m, struct arena *a, struct txn *t)
{
    const struct kind *k = kind_by_id(KIND_CLUSTERCONFIGURATION);
    char path[600];
    CLEANUP_FREE char *text = NULL;
    size_t size;
    struct value **docs;
    unsigned count;
    struct error err = {0};
    master_config_path(&m->config, MASTER_CLUSTER_FILE, path, sizeof path);
    if (view_get(tip_of(m), k, STR_NONE, STR(CLUSTER_CONFIG_NAME)) != NULL ||
        pki_read_file(path, CLUSTER_FILE_MAX, &text, &size, NULL) != 0) {
        return;
    }
    int rv = yaml_read(a, (struct str){text, size}, NULL, &docs, &count, &err);
    if (rv == 0 && count != 1) {
        rv = error_set(&err, ERR_INVALID, "%u documents, one is expected", count);
    }
    rv = rv != 0 ? rv : kind_check(k, a, docs[0], NULL, 0, &err);
    rv = rv != 0 ? rv : txn_create_value(t, k, docs[0], &err);
    if (rv != 0) {
        log_error(&m->log, "members", "%s: the cluster gets no configuration of its own, all is as by default: %s",
                  path, err.message);
    }
}

/* The default class: claims without a class get directories of nodes that offer room (proto/facts/storage.h). Of a new
 * cluster alone: whoever deletes it is not given it again. */
static void create_storage_class(struct arena *a, struct txn *t)
{
    const struct kind *k = kind_by_id(KIND_STORAGECLASS);
    if (level_program() < k->since) {
        return;
    }
    struct value *doc = new_object(a, k, NULL, "local"), *metadata = value_get(doc, "metadata");
    value_set(a, value_ensure_map(a, metadata, "annotations"), STORAGE_DEFAULT_CLASS, value_cstr(a, "true"));
    value_set(a, doc, "provisioner", value_cstr(a, STORAGE_LOCAL));
    value_set(a, doc, "reclaimPolicy", value_cstr(a, "Delete"));
    value_set(a, doc, "allowVolumeExpansion", value_bool(a, true));
    value_set(a, doc, "volumeBindingMode", value_cstr(a, "WaitForFirstConsumer"));
    txn_create_value(t, k, doc, NULL);
}

/* The classes that are always there. A cluster that was made before there were any gets them from the first leader
 * whose cluster may hold them; until then they count without their objects (controllers/priority.c). */
static void create_priority_classes(struct master *m, struct arena *a, struct txn *t)
{
    const struct kind *k = kind_by_id(KIND_PRIORITYCLASS);
    for (size_t i = 0; i < ARRAY_SIZE(priority_builtins); i++) {
        const struct priority_builtin *b = &priority_builtins[i];
        if (store_level(replica_store(m->replica)) < k->since || view_get(tip_of(m), k, STR_NONE, str_of(b->name))) {
            continue;
        }
        struct value *doc = new_object(a, k, NULL, b->name);
        value_set(a, doc, "value", value_int(a, b->value));
        value_set(a, doc, "globalDefault", value_bool(a, false));
        value_set(a, doc, "description", value_cstr(a, b->description));
        value_set(a, doc, "preemptionPolicy", value_cstr(a, PREEMPT_LOWER));
        txn_create_value(t, k, doc, NULL);
    }
}

/* The same for the roles that are always there. */
static void create_roles(struct master *m, struct txn *t)
{
    struct error err = {0};
    if (store_level(replica_store(m->replica)) >= kind_by_id(KIND_CLUSTERROLE)->since &&
        policy_reconcile(tip_of(m), t, &err) != 0) {
        log_error(&m->log, "members", "the cluster's own roles can't be made: %s", err.message);
    }
}

static void create_account_keys(struct master *m, struct txn *t)
{
    struct error err = {0};
    if (account_keys_bootstrap(m, t, &err) != 0) {
        log_error(&m->log, "members", "the key that signs tokens of service accounts can't be made: %s", err.message);
    }
}

/* A new cluster has one voter, this program: it begins with all that it can, and its first objects may be of any
 * kind. */
static void begin_level(struct master *m, struct value *record, struct arena *a)
{
    struct replica_member members[2];
    if (replica_members(m->replica, members, ARRAY_SIZE(members)) == 1) {
        value_set(a, record, RECORD_LEVEL, value_strf(a, "%u", level_program()));
        store_set_level(replica_store(m->replica), level_program());
    }
}

void members_bootstrap(struct master *m)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct txn t;
    txn_init(&t, "bootstrap");
    create_namespace(m, &a, &t, "default");
    create_namespace(m, &a, &t, "kube-system");
    create_namespace(m, &a, &t, "kube-public");
    create_namespace(m, &a, &t, NODE_LEASE_NS);
    const struct kind *k = kind_by_id(KIND_CONFIGMAP);
    struct error err = {0};
    if (view_get(tip_of(m), k, SYSTEM_NS, STR("reeve-cluster")) == NULL) {
        struct value *doc = new_object(&a, k, "kube-system", "reeve-cluster");
        struct value *data = value_ensure_map(&a, doc, "data");
        value_set(&a, data, "name", value_cstr(&a, m->config.cluster));
        value_set(&a, data, "nextMasterId", value_strf(&a, "%" PRIu64, m->config.id + 1));
        begin_level(m, data, &a);
        txn_create_value(&t, k, doc, &err);
        create_storage_class(&a, &t);
    }
    create_priority_classes(m, &a, &t);
    create_roles(m, &t);
    create_cluster_config(m, &a, &t);
    revoked_bootstrap(m, &t);
    create_account_keys(m, &t);
    read_tokens(m, &t);
    if (t.count > 0 && replica_submit(m->replica, &t, tokens_stored, m, &err) != 0) {
        log_error(&m->log, "members", "the cluster's own objects can't be made: %s", err.message);
    }
    txn_close(&t);
}

/* ---- Who is there ---- */

bool members_find(struct master *m, uint64_t id, const char *address, struct replica_member *out)
{
    struct replica_member members[64];
    unsigned n = replica_members(m->replica, members, ARRAY_SIZE(members));
    for (unsigned i = 0; i < n; i++) {
        if (members[i].id == id || (address != NULL && strcmp(members[i].address, address) == 0)) {
            *out = members[i];
            return true;
        }
    }
    return false;
}

bool members_up(struct master *m, uint64_t id)
{
    return id == m->config.id || transport_reachable(m->transport, id);
}

unsigned members_voters(struct master *m, unsigned *up)
{
    struct replica_member members[64];
    unsigned n = replica_members(m->replica, members, ARRAY_SIZE(members)), voters = 0;
    *up = 0;
    for (unsigned i = 0; i < n; i++) {
        bool voter = members[i].role == RAFT_VOTER;
        voters += voter;
        *up += voter && members_up(m, members[i].id);
    }
    return voters;
}

const char *members_role(int role)
{
    return role == RAFT_VOTER ? "voter" : role == RAFT_STANDBY ? "standby" : "spare";
}

/* ---- Addresses ---- */

static int put_address(struct master *m, struct txn *t, uint64_t id, struct str advertise, struct str agent,
                       struct error *err)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    const struct kind *k = kind_by_id(KIND_CONFIGMAP);
    const struct object *o = view_get(tip_of(m), k, SYSTEM_NS, STR("reeve-masters"));
    struct value *doc = o == NULL ? new_object(&a, k, "kube-system", "reeve-masters") : object_to_value(&a, o);
    struct value *data = value_ensure_map(&a, doc, "data");
    value_set(&a, data, arena_printf(&a, "%" PRIu64, id),
              value_strf(&a, "%.*s %.*s", STR_ARG(advertise), STR_ARG(agent)));
    return o == NULL ? txn_create_value(t, k, doc, err) : txn_update_value(t, k, doc, TXN_PART_ALL, o->revision, err);
}

struct str members_address(struct master *m, uint64_t id, bool agent_facing)
{
    const struct view *v = store_committed(replica_store(m->replica));
    const struct object *o = view_get(v, kind_by_id(KIND_CONFIGMAP), SYSTEM_NS, STR("reeve-masters"));
    if (o == NULL) {
        return STR_NONE;
    }
    char key[32];
    snprintf(key, sizeof key, "%" PRIu64, id);
    struct str both = configdata_text(o, key);
    const char *space = both.n == 0 ? NULL : memchr(both.p, ' ', both.n);
    if (space == NULL) {
        return both;
    }
    size_t first = (size_t)(space - both.p);
    return agent_facing ? (struct str){space + 1, both.n - first - 1} : (struct str){both.p, first};
}

static void announced(const struct rpc_result *result, void *data)
{
    struct master *m = data;
    m->announcing = false;
    m->announced = result->error == NULL;
}

static void announced_here(const struct txn_result *result, const struct error *error, void *data)
{
    (void)result;
    struct master *m = data;
    m->announcing = false;
    m->announced = error == NULL;
}

/* Tell the leader (or, leading, write down) where we are reached. Called when a leader becomes known and, until it
 * worked, from the timer. */
void members_announce(struct master *m)
{
    const char *address;
    uint64_t leader = replica_leader(m->replica, &address);
    if (m->announced || m->announcing || leader == 0) {
        return;
    }
    if (replica_leading(m->replica)) {
        struct txn t;
        struct error err = {0};
        txn_init(&t, "bootstrap");
        if (put_address(m, &t, m->config.id, str_of(m->config.advertise), str_of(m->config.agent_address), &err) == 0) {
            m->announcing = true;
            replica_submit(m->replica, &t, announced_here, m, &err);
        }
        txn_close(&t);
    } else if (leader != m->config.id && transport_session(m->transport, leader) != NULL) {
        struct buf b = BUF_INIT;
        mp_write_map(&b, 2);
        mp_write_key_str(&b, "advertise", str_of(m->config.advertise));
        mp_write_key_str(&b, "agentAddress", str_of(m->config.agent_address));
        m->announcing = true;
        transport_call(m->transport, leader, "announce", buf_str(&b), 5000, announced, m);
        buf_close(&b);
    }
}

static void announced_for(const struct txn_result *result, const struct error *error, void *data)
{
    struct call *c = data;
    CLEANUP_BUF struct buf b = BUF_INIT;
    if (error != NULL) {
        call_fail(c, error);
        return;
    }
    mp_write_map(&b, 1);
    mp_write_key_int(&b, "revision", (int64_t)result->revision);
    call_reply(c, &b);
}

void method_announce(struct call *c)
{
    struct str advertise, agent;
    if (!call_str(c, "advertise", &advertise, true) || !call_str(c, "agentAddress", &agent, true)) {
        return;
    }
    struct txn t;
    struct error err = {0};
    txn_init(&t, "announce");
    if (put_address(c->m, &t, strtoull(c->e.who->name, NULL, 10), advertise, agent, &err) != 0) {
        call_fail(c, &err);
    } else {
        replica_submit(c->m->replica, &t, announced_for, c, &err);
        master_wake(c->m);
    }
    txn_close(&t);
}

bool members_forget(struct master *m, struct txn *t)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    const struct kind *k = kind_by_id(KIND_CONFIGMAP);
    const struct object *o = view_get(tip_of(m), k, SYSTEM_NS, STR("reeve-masters"));
    if (o == NULL) {
        return false;
    }
    struct value *doc = object_to_value(&a, o), *data = value_ensure_map(&a, doc, "data");
    struct replica_member member;
    bool changed = false;
    for (unsigned i = 0; i < value_count(data);) {
        struct str key = data->map.members[i].key;
        uint64_t id = strtoull(arena_strndup(&a, key.p, key.n), NULL, 10);
        if (members_find(m, id, NULL, &member)) {
            i++;
        } else {
            value_remove_str_key(data, key);
            changed = true;
        }
    }
    return changed && txn_update_value(t, k, doc, TXN_PART_ALL, o->revision, NULL) == 0;
}

/* ---- Room on the disk ---- */

static void left_low_disk(const struct error *error, void *data)
{
    struct master *m = data;
    if (error != NULL) {
        log_warn(&m->log, "members", "our disk is nearly full, and the leadership is not given away: %s",
                 error->message);
    }
}

void members_leave_low_disk(struct master *m)
{
    struct replica_member members[64];
    if (!replica_leading(m->replica) || !replica_disk_low(m->replica) || replica_changing(m->replica)) {
        return;
    }
    unsigned n = replica_members(m->replica, members, ARRAY_SIZE(members));
    for (unsigned i = 0; i < n; i++) {
        const struct replica_member *w = &members[i];
        if (w->id != m->config.id && w->role == RAFT_VOTER && w->disk_known && !w->disk_low &&
            transport_reachable(m->transport, w->id)) {
            log_warn(&m->log, "members", "our disk is nearly full: master %" PRIu64 ", which has room, is to lead",
                     w->id);
            replica_transfer(m->replica, w->id, left_low_disk, m);
            return;
        }
    }
}

/* ---- hello, cluster ---- */

void members_write_addresses(struct master *m, struct buf *b, bool agent_facing)
{
    struct replica_member members[64];
    unsigned n = replica_members(m->replica, members, ARRAY_SIZE(members));
    mp_write_cstr(b, "masters");
    mp_write_array(b, n);
    for (unsigned i = 0; i < n; i++) {
        struct str known = members_address(m, members[i].id, agent_facing);
        mp_write_str(b, known.n > 0 ? known : str_of(members[i].address));
    }
}

static void method_hello(struct call *c)
{
    struct master *m = c->m;
    const char *address = "";
    uint64_t leader = replica_leader(m->replica, &address);
    bool agent = c->e.who->role == PKI_ROLE_NODE;
    struct str known = members_address(m, leader, agent);
    struct buf b = BUF_INIT;
    unsigned up, voters = members_voters(m, &up);
    nodes_on_hello(c);
    bool certified = agent || c->e.who->role == PKI_ROLE_ADMIN || c->e.who->role == PKI_ROLE_USER;
    CLEANUP_BUF struct buf refused = BUF_INIT;
    revoked_write_masters(m, &refused);
    mp_write_map(&b, 10 + 2 * agent + 2 * certified);
    mp_write_key_int(&b, RECORD_LEVEL, level_cluster(m));
    if (certified) { /* whoever has another one renews it */
        mp_write_key_str(&b, "refused", buf_str(&refused));
        mp_write_key_str(&b, "standing", str_of(rotate_standing(m)));
    }
    mp_write_key_int(&b, "voters", voters);
    mp_write_key_int(&b, "votersUp", up);
    mp_write_key_str(&b, "version", STR(REEVE_VERSION));
    mp_write_key_str(&b, "cluster", str_of(m->config.cluster));
    mp_write_key_int(&b, "id", (int64_t)m->config.id);
    mp_write_key_int(&b, "leader", (int64_t)leader);
    mp_write_key_str(&b, "leaderAddress", known.n > 0 ? known : str_of(leader == 0 ? "" : address));
    mp_write_key_str(&b, "role", replica_leading(m->replica) ? STR("leader") : STR("follower"));
    mp_write_key_int(&b, "term", (int64_t)replica_term(m->replica));
    if (agent) {
        mp_write_key_bool(&b, "serves", lease_held(m)); /* it may register here */
        members_write_addresses(m, &b, true);
    }
    call_reply(c, &b);
    buf_close(&b);
}

const struct method request_hello = {"hello", method_hello, METHOD_ANON | METHOD_NODE | METHOD_OPEN,
                                     "version name instance certFrom certUntil standing"};

static void write_members(struct master *m, struct buf *b, uint64_t leader, const struct replica_stats *stats)
{
    struct replica_member members[64];
    unsigned n = replica_members(m->replica, members, ARRAY_SIZE(members));
    mp_write_cstr(b, "members");
    mp_write_array(b, n);
    for (unsigned i = 0; i < n; i++) {
        bool self = members[i].id == m->config.id;
        const char *version;
        unsigned level;
        bool known = level_of(m, members[i].id, &level, &version);
        mp_write_map(b, 5u + self + members[i].disk_known + 2u * known);
        mp_write_key_int(b, "id", (int64_t)members[i].id);
        mp_write_key_str(b, "address", str_of(members[i].address));
        mp_write_key_str(b, "role", str_of(members_role(members[i].role)));
        mp_write_key_bool(b, "leader", members[i].id == leader);
        mp_write_key_bool(b, "reachable", members_up(m, members[i].id));
        if (known) {
            mp_write_key_int(b, "programLevel", level);
            mp_write_key_str(b, "version", str_of(version));
        }
        if (members[i].disk_known) {
            mp_write_key_bool(b, "diskLow", members[i].disk_low);
        }
        if (self) {
            mp_write_key_int(b, "appliedIndex", (int64_t)stats->applied_index);
        }
    }
    unsigned up, voters = members_voters(m, &up);
    mp_write_key_int(b, "canLose", (int64_t)up - (int64_t)(voters / 2 + 1));
}

/* How long a silent leader is waited for, between which limits, and why (raft-store/raft/pace.h). */
static void write_elections(const struct master *m, struct buf *b, const struct replica_stats *stats)
{
    mp_write_cstr(b, "elections");
    mp_write_map(b, 5);
    mp_write_key_int(b, "timeoutMs", stats->election_timeout_ms);
    mp_write_key_int(b, "timeoutMinMs", m->config.election_timeout_ms);
    mp_write_key_int(b, "timeoutMaxMs", MAX(m->config.election_max_ms, m->config.election_timeout_ms));
    mp_write_key_int(b, "longestStandstillMs", stats->standstill_ms);
    mp_write_key_int(b, "leaderChanges", (int64_t)stats->leaders);
}

static void write_nodes(struct master *m, struct buf *b)
{
    const struct view *v = store_committed(replica_store(m->replica));
    const struct kind *k = kind_by_id(KIND_NODE);
    struct view_iter it;
    mp_write_cstr(b, "nodes");
    mp_write_array(b, (uint32_t)view_count(v, k));
    view_iter(&it, v, k, STR_NONE);
    VIEW_FOR(o, &it)
    {
        struct str ready = mp_str(mp_get(condition_mp(o, "Ready"), "status"));
        mp_write_map(b, 3);
        mp_write_key_str(b, "name", o->name);
        mp_write_key_str(b, "ready", ready.n > 0 ? ready : STR("Unknown"));
        mp_write_key_int(b, "heartbeatAgeMs", core_heartbeat_age_ms(m->core, o->name));
    }
}

static void write_stats(struct master *m, struct buf *b, const struct replica_stats *s)
{
    struct counters *rows = xcalloc(1, sizeof *rows);
    master_counters(m, s, rows);
    mp_write_cstr(b, "stats");
    mp_write_map(b, rows->count);
    for (unsigned i = 0; i < rows->count; i++) {
        mp_write_key_int(b, rows->items[i].name, (int64_t)rows->items[i].value);
    }
    free(rows);
}

bool members_state_warning(const struct replica_state *s, char *out, size_t size)
{
    if (s->percent < MASTER_STATE_WARN_PERCENT) {
        return false;
    }
    snprintf(
        out, size,
        "the cluster's state is %u %% of what it may be: %" PRIu64 " of %" PRIu64 " %s (%s in the masters' "
        "master.yaml); at 100 %% nothing new is accepted; delete what is not needed, or raise the bound on all masters",
        s->percent, s->by_bytes ? s->bytes : s->objects, s->by_bytes ? s->bytes_max : s->objects_max,
        s->by_bytes ? "bytes" : "objects", s->by_bytes ? "stateMegabytes" : "stateObjects");
    return true;
}

/* "state": how large it is and may be. A warning when it is nearly full. */
static void write_state(struct master *m, struct buf *b)
{
    char text[400];
    struct replica_state s;
    replica_state(m->replica, &s);
    bool warn = members_state_warning(&s, text, sizeof text);
    mp_write_cstr(b, "state");
    mp_write_map(b, 5u + warn);
    mp_write_key_int(b, "bytes", (int64_t)s.bytes);
    mp_write_key_int(b, "bytesMax", (int64_t)s.bytes_max);
    mp_write_key_int(b, "objects", (int64_t)s.objects);
    mp_write_key_int(b, "objectsMax", (int64_t)s.objects_max);
    mp_write_key_int(b, "percent", s.percent);
    if (warn) {
        mp_write_key_str(b, "warning", str_of(text));
    }
}

void verb_cluster(struct api_call *c)
{
    struct master *m = c->m;
    struct replica_stats stats;
    replica_stats(m->replica, &stats);
    const char *address;
    uint64_t leader = replica_leader(m->replica, &address);
    struct buf b = BUF_INIT;
    const struct view *committed = store_committed(replica_store(m->replica));
    struct view_hash hash = view_state_hash(committed);
    char hash_text[33];
    snprintf(hash_text, sizeof hash_text, "%016llx%016llx", (unsigned long long)hash.hi, (unsigned long long)hash.lo);
    mp_write_map(&b, 20);
    unsigned up, voters = members_voters(m, &up);
    mp_write_key_int(&b, RECORD_LEVEL, level_cluster(m));
    mp_write_key_int(&b, "programLevel", level_program());
    mp_write_key_bool(&b, "electing", (leader == 0 || !members_up(m, leader)) && up > voters / 2);
    mp_write_key_str(&b, "cluster", str_of(m->config.cluster));
    mp_write_key_str(&b, "version", STR(REEVE_VERSION));
    mp_write_key_int(&b, "id", (int64_t)m->config.id);
    mp_write_key_int(&b, "leader", (int64_t)leader);
    mp_write_key_int(&b, "term", (int64_t)replica_term(m->replica));
    mp_write_key_int(&b, "appliedIndex", (int64_t)stats.applied_index);
    mp_write_key_int(&b, "commitIndex", (int64_t)stats.commit_index);
    mp_write_key_int(&b, "revision", (int64_t)view_revision(committed));
    mp_write_key_str(&b, "stateHash", str_of(hash_text));
    write_elections(m, &b, &stats);
    write_state(m, &b);
    write_members(m, &b, leader, &stats);
    write_nodes(m, &b);
    write_stats(m, &b, &stats);
    sessions_write_places(m, &b);
    mp_write_cstr(&b, "certificateWarnings");
    certs_write_warnings(m, &b);
    c->front->told(c, mp_of(b.data, b.size));
    buf_close(&b);
}
