/* Starts what is not there, or has died: masters one after another, as each joins those before it, then nodes. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cmd/upping.h"
#include "proto/facts/condition.h"
#include "proto/pki/pki.h"

#define WAIT_STEP_MS 100
#define TELL_MS      10000 /* after so long it is said what is waited for */
#define CALL_MS      20000 /* one request; it is repeated until --timeout */

void upping_say(struct upping *p, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vfprintf(p->r->out, fmt, ap);
    va_end(ap);
    fputc('\n', p->r->out);
    fflush(p->r->out);
}

const char *upping_format(struct upping *p, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    const char *s = arena_vprintf(&p->r->arena, fmt, ap);
    va_end(ap);
    return s;
}

/* ---- Talking to it ---- */

/* The masters' addresses into DIR/config. What is there stays, above all its certificates: rctl renews them, and the
 * first administrator's of masters/m1 may count no more. */
static int write_config(struct upping *p)
{
    struct up *u = &p->u;
    struct arena *a = &p->r->arena;
    struct config c;
    struct config_target t;
    const char *path = up_path(a, u, "config"), *servers[CONFIG_SERVERS_MAX];
    unsigned count = 0;
    while (count < u->masters && count < CONFIG_SERVERS_MAX) {
        servers[count] = upping_format(p, "127.0.0.1:%u", u->ports[count]);
        count++;
    }
    if (access(path, F_OK) == 0) {
        int rc = config_load(a, path, &c, &p->err);
        return rc != 0 ? rc : config_set_servers(a, &c, "", servers, count, &p->err);
    }
    int rc = config_load(a, up_path(a, u, "masters/m1/admin.config"), &c, &p->err);
    rc = rc != 0 ? rc : config_resolve(a, &c, NULL, &t, &p->err);
    if (rc != 0) {
        return rc;
    }
    memcpy(t.servers, servers, count * sizeof *servers);
    t.servers_count = count;
    return config_write(path, &t, "admin", &p->err);
}

static int open_api(struct upping *p)
{
    struct arena *a = &p->r->arena;
    struct config c;
    struct config_target t;
    api_free(p->api);
    p->api = NULL;
    int rc = config_load(a, up_path(a, &p->u, "config"), &c, &p->err);
    rc = rc != 0 ? rc : config_resolve(a, &c, NULL, &t, &p->err);
    rc = rc != 0 ? rc : api_new(&t, CALL_MS, false, &p->api, &p->err);
    if (rc == 0) {
        api_tell(p->api, p->r->err_out);
    }
    return rc;
}

/* Asks again and again until ok() says so, the deadline passes, or a member it depends on has died. */
static int wait_until(struct upping *p, const char *what, bool (*ok)(struct upping *p))
{
    int64_t tell_ms = upping_now() + TELL_MS;
    while (p->err.code = 0, p->err.message[0] = '\0', !ok(p)) {
        if (upping_now() > tell_ms && p->err.message[0] != '\0') {
            tell_ms = INT64_MAX;
            upping_say(p, "  waiting for %s: %s", what, p->err.message);
        }
        for (unsigned i = 0; i < p->u.masters; i++) {
            const char *name = upping_format(p, "m%u", i + 1);
            if (up_alive(&p->u, name) == 0) {
                CLEANUP_BUF struct buf tail = BUF_INIT;
                up_log_tail(&p->u, name, 3, &tail);
                return error_set(&p->err, ERR_SYSTEM, "master %s ended: %s", name,
                                 tail.size > 0 ? buf_cstr(&tail) : "it said nothing");
            }
        }
        if (upping_now() > p->deadline_ms) {
            const char *last = upping_format(p, "%s", p->err.message[0] == '\0' ? "no answer" : p->err.message);
            return error_set(&p->err, ERR_TIMEOUT, "%s: not within --timeout %s: %s; see %s/logs", what,
                             opt(p->r, "timeout"), last, p->u.dir);
        }
        usleep(WAIT_STEP_MS * 1000);
    }
    return 0;
}

/* m1, m2... by its address; another address as it is. */
static const char *master_name(struct upping *p, struct str address)
{
    for (unsigned i = 0; i < p->u.masters; i++) {
        if (str_is(address, upping_format(p, "127.0.0.1:%u", p->u.ports[i]))) {
            return upping_format(p, "m%u", i + 1);
        }
    }
    return upping_format(p, "%.*s", STR_ARG(address));
}

/* All masters set up so far are members that answer, and there is a leader. */
static bool masters_ready(struct upping *p)
{
    struct value *none = value_map(&p->r->arena);
    CLEANUP_REPLY struct api_reply reply = {0};
    if (api_read(p->api, "cluster", none, &reply, &p->err) != 0) {
        return false;
    }
    unsigned ready = 0;
    bool led = mp_int(mp_get(reply.result, "leader"), 0) != 0;
    CLEANUP_BUF struct buf missing = BUF_INIT;
    for (struct mp_iter it = mp_iter(mp_get(reply.result, "members")); mp_next(&it);) {
        bool self = mp_int(mp_get(it.value, "id"), 0) == mp_int(mp_get(reply.result, "id"), -1);
        bool votes = str_is(mp_str(mp_get(it.value, "role")), "voter");
        bool up = self || mp_bool(mp_get(it.value, "reachable"), true);
        ready += votes && up;
        if (!votes || !up) {
            buf_printf(&missing, "%s%s %s", missing.size > 0 ? ", " : "",
                       master_name(p, mp_str(mp_get(it.value, "address"))), up ? "has no vote yet" : "is not reached");
        }
    }
    error_set(&p->err, ERR_TIMEOUT, "%u of %u masters vote and answer%s%s%s", ready, p->u.masters,
              missing.size > 0 ? ": " : "", buf_cstr(&missing), led ? "" : "; none of them leads");
    return ready >= p->u.masters && led;
}

static bool node_is_ready(const struct object *o)
{
    return condition_is(condition_mp(o, "Ready"), "True");
}

static bool nodes_ready(struct upping *p)
{
    CLEANUP_LIST struct api_list list = {0};
    struct api_list_query q = {.kind = kind_by_id(KIND_NODE)};
    if (api_list(p->api, &q, &list, &p->err) != 0) {
        return false;
    }
    unsigned ready = 0;
    CLEANUP_BUF struct buf missing = BUF_INIT;
    for (unsigned i = 0; i < p->u.nodes; i++) {
        const char *name = upping_format(p, "n%u", i + 1);
        const struct object *o = NULL;
        for (unsigned j = 0; j < list.count && o == NULL; j++) {
            o = str_is(list.items[j]->name, name) ? list.items[j] : NULL;
        }
        bool is = o != NULL && node_is_ready(o);
        ready += is;
        if (!is) {
            bool joined = access(up_path(&p->r->arena, &p->u, "nodes/%s.joined", name), F_OK) == 0;
            buf_printf(&missing, "%s%s %s", missing.size > 0 ? ", " : "", name,
                       o != NULL ? "is not Ready"
                       : joined  ? "is not registered (one that was deleted joins anew, empty, when its pid is killed, "
                                   "its file nodes/NAME.joined removed, and `rctl up` typed again)"
                                 : "has not registered");
        }
    }
    error_set(&p->err, ERR_TIMEOUT, "%u of %u nodes are Ready: %s", ready, p->u.nodes, buf_cstr(&missing));
    return ready >= p->u.nodes;
}

/* A fresh token in a file that only root reads: words of a command line are seen by everybody. */
static int get_token(struct upping *p, const char *role, const char *node_name, const char *path)
{
    struct value *params = value_map(&p->r->arena);
    value_set(&p->r->arena, params, "role", value_cstr(&p->r->arena, role));
    if (node_name != NULL) {
        value_set(&p->r->arena, params, "nodeName", value_cstr(&p->r->arena, node_name));
    }
    CLEANUP_REPLY struct api_reply reply = {0};
    int rc;
    while ((rc = api_read(p->api, "token", params, &reply, &p->err)) != 0 &&
           (err_class(rc) == ERR_CLASS_RETRY || err_class(rc) == ERR_CLASS_UNKNOWN) && upping_now() < p->deadline_ms) {
        api_reply_close(&reply);
        usleep(WAIT_STEP_MS * 1000);
    }
    struct str s = mp_str(mp_get(reply.result, "token"));
    rc = rc != 0 ? rc : pki_write_file(path, s.p, s.n, 0600, &p->err);
    return rc != 0 ? error_wrap(&p->err, "token for a %s", role) : 0;
}

/* ---- Masters ---- */

/* The words of a command and further ones behind them. */
static const char *const *with_words(struct upping *p, const char *const *argv, const char *const *more)
{
    unsigned n = 0, m = 0;
    while (argv[n] != NULL) {
        n++;
    }
    while (more[m] != NULL) {
        m++;
    }
    const char **all = arena_alloc(&p->r->arena, ((size_t)n + m + 1) * sizeof(*all));
    memcpy(all, argv, n * sizeof(*all));
    memcpy(all + n, more, m * sizeof(*all));
    return all;
}

/* Words for reeve-master init. */
static const char *const *settings(struct upping *p)
{
    unsigned n = args_count(&p->r->args, "set");
    const char **words = arena_alloc(&p->r->arena, ((size_t)n + 1) * sizeof(*words));
    for (unsigned i = 0; i < n; i++) {
        words[i] = upping_format(p, "--set=%s", args_at(&p->r->args, "set", i));
    }
    words[n] = NULL;
    return words;
}

static int start_master(struct upping *p, unsigned i)
{
    struct up *u = &p->u;
    const char *name = upping_format(p, "m%u", i + 1);
    const char *run[] = {p->master, "run", "--dir", up_path(&p->r->arena, u, "masters/%s", name), NULL};
    const char *const *argv = with_words(p, run, u->master_args);
    int fd = -1;
    if (up_check_strangers(u, name, &p->err) != 0) {
        return p->err.code;
    }
    int rc = p->want_nodes > 0 ? up_fabric_listen(u, u->ports[i], &fd, &p->err) : 0;
    rc = rc != 0 ? rc : up_start_daemon(u, name, argv, fd, &p->err);
    if (fd >= 0) {
        close(fd);
    }
    if (rc == 0) {
        p->started++;
        upping_say(p, "  master %s: 127.0.0.1:%u, pid %d", name, u->ports[i], (int)up_alive(u, name));
    }
    return rc;
}

/* Prepares the data directory of a new master: the first makes the cluster, the others join it. */
static int prepare_master(struct upping *p, unsigned i)
{
    struct up *u = &p->u;
    const char *name = upping_format(p, "m%u", i + 1);
    const char *dir = up_path(&p->r->arena, u, "masters/%s", name);
    int rc = up_remove_tree(dir, &p->err);
    uint16_t port = up_free_port(i == 0 ? p->first_port : (uint16_t)(u->ports[i - 1] + 1));
    if (rc != 0 || port == 0) {
        return rc != 0 ? rc : error_set(&p->err, ERR_LIMIT, "no free port on 127.0.0.1 above %u", p->first_port);
    }
    const char *address = upping_format(p, "127.0.0.1:%u", port);
    const char *agents = upping_format(p, UP_GATEWAY ":%u", port);
    const char *first[] = {p->master,  "init",  "--dir",           dir,    "--id-name", name,
                           "--listen", address, "--agent-address", agents, NULL};
    const char *token = up_path(&p->r->arena, u, "run/%s.token", name);
    rc = i == 0 ? 0 : get_token(p, "master", NULL, token);
    CLEANUP_BUF struct buf all = BUF_INIT; /* whoever leads at the moment, and whoever is slow */
    for (unsigned k = 0; k < i; k++) {
        buf_printf(&all, "%s127.0.0.1:%u", k > 0 ? "," : "", u->ports[k]);
    }
    int64_t left_s = MAX((p->deadline_ms - upping_now()) / 1000, 10);
    const char *next[] = {p->master,      "join",  "--dir",           dir,
                          "--listen",     address, "--agent-address", agents,
                          "--token-file", token,   "--timeout",       upping_format(p, "%lld", (long long)left_s),
                          buf_cstr(&all), NULL};
    const char *const *words = with_words(p, i == 0 ? with_words(p, first, settings(p)) : next, u->master_args);
    while (rc == 0 && (rc = up_command(words, &p->err)) != 0 && i > 0 &&
           strstr(p->err.message, "type the same again") && upping_now() < p->deadline_ms) {
        rc = 0; /* what hindered it passes, as it says itself: the masters did not even take connections for a while */
    }
    unlink(token);
    if (rc != 0) {
        return rc;
    }
    u->ports[i] = port;
    u->masters = i + 1;
    rc = up_save(u, &p->err);
    return rc != 0 ? rc : write_config(p);
}

int upping_masters(struct upping *p)
{
    struct up *u = &p->u;
    int rc = 0;
    bool deaf = p->want_nodes > 0 && !u->fabric; /* started before there were nodes: no socket in the fabric */
    for (unsigned i = 0; i < u->masters && rc == 0; i++) {
        const char *name = upping_format(p, "m%u", i + 1);
        if (deaf) {
            up_stop(u, name, UP_STOP_MS);
        }
        if (up_runs(u, name) == 0) {
            rc = start_master(p, i);
        }
    }
    if (rc == 0 && u->masters > 0 && deaf) {
        u->fabric = true;
        rc = up_save(u, &p->err);
    }
    u->fabric = p->want_nodes > 0;
    if (rc == 0 && u->masters > 0) {
        rc = write_config(p);
        rc = rc != 0 ? rc : open_api(p);
        rc = rc != 0 ? rc : wait_until(p, "masters", masters_ready);
    }
    while (rc == 0 && u->masters < p->want_masters) {
        rc = prepare_master(p, u->masters);
        rc = rc != 0 ? rc : start_master(p, u->masters - 1);
        rc = rc != 0 ? rc : open_api(p);
        rc = rc != 0 ? rc : wait_until(p, "masters", masters_ready);
    }
    return rc;
}

/* ---- Nodes ---- */

static const char *master_list(struct upping *p)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    for (unsigned i = 0; i < p->u.masters; i++) {
        buf_printf(&b, "%s" UP_GATEWAY ":%u", i > 0 ? "," : "", p->u.ports[i]);
    }
    return arena_strdup(&p->r->arena, buf_cstr(&b));
}

/* Nodes of one machine share its disk, of which a tenth may be a lot to ask for. */
#define NODE_EVICTION_HARD "memory.available<100Mi,nodefs.available<1Gi,pid.available<10%"

static int start_node(struct upping *p, unsigned i)
{
    struct up *u = &p->u;
    struct arena *a = &p->r->arena;
    const char *name = upping_format(p, "n%u", i + 1), *dir = up_path(a, u, "nodes/%s", name);
    const char *joined = up_path(a, u, "nodes/%s.joined", name), *token = up_path(a, u, "run/%s.token", name);
    const char *words[] = {p->agent, "run", "--dir", dir, "--eviction-hard", NODE_EVICTION_HARD, NULL, NULL, NULL};
    if (u->images != NULL) {
        words[6] = "--images";
        words[7] = u->images;
    }
    const char *const *run = with_words(p, words, u->agent_args);
    bool has_joined = access(joined, F_OK) == 0;
    int rc = 0;
    if (!has_joined) {
        rc = up_remove_tree(dir, &p->err);
        rc = rc != 0 ? rc : get_token(p, "node", name, token);
    }
    const char *join[] = {p->agent, "join", "--dir", dir, "--name", name, "--token-file", token, master_list(p), NULL};
    struct up_node_spec spec = {.index = i, .argv = run, .join_argv = has_joined ? NULL : join, .joined_path = joined};
    rc = rc != 0 ? rc : up_check_strangers(u, name, &p->err);
    if (rc == 0) {
        up_cgroup_remove(u, name);
    }
    rc = rc != 0 ? rc : up_node_start(u, &spec, &p->err);
    if (rc == 0) {
        p->started++;
        upping_say(p, "  node %s: %s, pid %d (all of the node: its end is a power cut)", name, up_node_ip(a, i),
                   (int)up_alive(u, name));
    }
    return rc;
}

int upping_nodes(struct upping *p)
{
    struct up *u = &p->u;
    unsigned want = p->want_nodes > u->nodes ? p->want_nodes : u->nodes;
    int rc = 0;
    for (unsigned i = 0; i < want && rc == 0; i++) {
        if (i < u->nodes && up_runs(u, upping_format(p, "n%u", i + 1)) != 0) {
            continue;
        }
        rc = start_node(p, i);
        if (rc == 0 && i >= u->nodes) {
            u->nodes = i + 1;
            rc = up_save(u, &p->err);
        }
    }
    return rc != 0 || u->nodes == 0 ? rc : wait_until(p, "nodes", nodes_ready);
}
