/* rctl up: a cluster on this machine. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/env.h"
#include "client/cmd/rctl.h"
#include "client/up/up.h"
#include "proto/facts/condition.h"
#include "proto/pki/pki.h"

#define WAIT_STEP_MS 100
#define CALL_MS      20000 /* one request; it is repeated until --timeout */
#define PORT_DEFAULT 7400

static const struct option_row up_options[] = {
    {"masters", 0, OPTION_VALUE, NULL, NULL, "N", "how many masters (1, 3, 5 or 7; default 3, or as before)"},
    {"agents", 0, OPTION_VALUE, NULL, NULL, "N", "how many nodes (default 2, or as before)"},
    {"dir", 0, OPTION_VALUE, "./.reeve", NULL, "DIR", "where everything is kept"},
    {"port", 0, OPTION_VALUE, NULL, NULL, "PORT", "first port to try for new masters (7400)"},
    {"images", 0, OPTION_VALUE, NULL, NULL, "DIR", "image archives and layouts that every node loads at start"},
    {"heartbeat", 0, OPTION_VALUE, NULL, NULL, "DURATION", "how often nodes report (10s)"},
    {"node-grace", 0, OPTION_VALUE, NULL, NULL, "DURATION", "how long a node may be silent until it is NotReady (40s)"},
    {"set", 0, OPTION_REPEAT, NULL, NULL, "KEY=VALUE",
     "of a new cluster's configuration, such as podSubnet=10.128.0.0/9 (\"rctl cluster show\" has all keys)"},
    {"master-arg", 0, OPTION_REPEAT, NULL, NULL, "ARG", "one more word for reeve-master init, join and run"},
    {"agent-arg", 0, OPTION_REPEAT, NULL, NULL, "ARG", "one more word for \"reeve-agent run\""},
    {"timeout", 0, OPTION_VALUE, "5m", NULL, "DURATION", "how long to wait until all is ready"},
};

/* One run of `up`. */
struct upping {
    struct rctl *r;
    struct up u;
    struct api *api;
    unsigned want_masters, want_nodes, started;
    uint16_t first_port;
    const char *master, *agent; /* programs */
    int64_t deadline_ms;        /* monotonic */
    struct error err;
};

static int64_t now_ms(void)
{
    return env_now_ms(env_real());
}

static void say(struct upping *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(struct upping *p, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vfprintf(p->r->out, fmt, ap);
    va_end(ap);
    fputc('\n', p->r->out);
    fflush(p->r->out);
}

static const char *format(struct upping *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static const char *format(struct upping *p, const char *fmt, ...)
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
        servers[count] = format(p, "127.0.0.1:%u", u->ports[count]);
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
    while (p->err.code = 0, p->err.message[0] = '\0', !ok(p)) {
        for (unsigned i = 0; i < p->u.masters; i++) {
            const char *name = format(p, "m%u", i + 1);
            if (up_alive(&p->u, name) == 0) {
                CLEANUP_BUF struct buf tail = BUF_INIT;
                up_log_tail(&p->u, name, 3, &tail);
                return error_set(&p->err, ERR_SYSTEM, "master %s ended: %s", name,
                                 tail.size > 0 ? buf_cstr(&tail) : "it said nothing");
            }
        }
        if (now_ms() > p->deadline_ms) {
            const char *last = format(p, "%s", p->err.message[0] == '\0' ? "no answer" : p->err.message);
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
        if (str_is(address, format(p, "127.0.0.1:%u", p->u.ports[i]))) {
            return format(p, "m%u", i + 1);
        }
    }
    return format(p, "%.*s", STR_ARG(address));
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
        const char *name = format(p, "n%u", i + 1);
        const struct object *o = NULL;
        for (unsigned j = 0; j < list.count && o == NULL; j++) {
            o = str_is(list.items[j]->name, name) ? list.items[j] : NULL;
        }
        bool is = o != NULL && node_is_ready(o);
        ready += is;
        if (!is) {
            buf_printf(&missing, "%s%s %s", missing.size > 0 ? ", " : "", name,
                       o == NULL ? "has not registered" : "is not Ready");
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
           (err_class(rc) == ERR_CLASS_RETRY || err_class(rc) == ERR_CLASS_UNKNOWN) && now_ms() < p->deadline_ms) {
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
        words[i] = format(p, "--set=%s", args_at(&p->r->args, "set", i));
    }
    words[n] = NULL;
    return words;
}

static int start_master(struct upping *p, unsigned i)
{
    struct up *u = &p->u;
    const char *name = format(p, "m%u", i + 1);
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
        say(p, "  master %s: 127.0.0.1:%u, pid %d", name, u->ports[i], (int)up_alive(u, name));
    }
    return rc;
}

/* Prepares the data directory of a new master: the first makes the cluster, the others join it. */
static int prepare_master(struct upping *p, unsigned i)
{
    struct up *u = &p->u;
    const char *name = format(p, "m%u", i + 1);
    const char *dir = up_path(&p->r->arena, u, "masters/%s", name);
    int rc = up_remove_tree(dir, &p->err);
    uint16_t port = up_free_port(i == 0 ? p->first_port : (uint16_t)(u->ports[i - 1] + 1));
    if (rc != 0 || port == 0) {
        return rc != 0 ? rc : error_set(&p->err, ERR_LIMIT, "no free port on 127.0.0.1 above %u", p->first_port);
    }
    const char *address = format(p, "127.0.0.1:%u", port);
    const char *agents = format(p, UP_GATEWAY ":%u", port);
    const char *first[] = {p->master,  "init",  "--dir",           dir,    "--id-name", name,
                           "--listen", address, "--agent-address", agents, NULL};
    const char *token = up_path(&p->r->arena, u, "run/%s.token", name);
    rc = i == 0 ? 0 : get_token(p, "master", NULL, token);
    CLEANUP_BUF struct buf all = BUF_INIT; /* whoever leads at the moment, and whoever is slow */
    for (unsigned k = 0; k < i; k++) {
        buf_printf(&all, "%s127.0.0.1:%u", k > 0 ? "," : "", u->ports[k]);
    }
    int64_t left_s = MAX((p->deadline_ms - now_ms()) / 1000, 10);
    const char *next[] = {p->master,      "join",  "--dir",           dir,
                          "--listen",     address, "--agent-address", agents,
                          "--token-file", token,   "--timeout",       format(p, "%lld", (long long)left_s),
                          buf_cstr(&all), NULL};
    const char *const *words = with_words(p, i == 0 ? with_words(p, first, settings(p)) : next, u->master_args);
    while (rc == 0 && (rc = up_command(words, &p->err)) != 0 && i > 0 &&
           strstr(p->err.message, "type the same again") && now_ms() < p->deadline_ms) {
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

static int bring_masters(struct upping *p)
{
    struct up *u = &p->u;
    int rc = 0;
    bool deaf = p->want_nodes > 0 && !u->fabric; /* started before there were nodes: no socket in the fabric */
    for (unsigned i = 0; i < u->masters && rc == 0; i++) {
        const char *name = format(p, "m%u", i + 1);
        if (deaf) {
            up_stop(u, name, UP_STOP_MS);
        }
        if (up_alive(u, name) == 0) {
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

static int start_node(struct upping *p, unsigned i)
{
    struct up *u = &p->u;
    struct arena *a = &p->r->arena;
    const char *name = format(p, "n%u", i + 1), *dir = up_path(a, u, "nodes/%s", name);
    const char *joined = up_path(a, u, "nodes/%s.joined", name), *token = up_path(a, u, "run/%s.token", name);
    const char *words[] = {p->agent, "run", "--dir", dir, "--node-ip", up_node_ip(a, i), NULL, NULL, NULL};
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
        say(p, "  node %s: %s, pid %d (all of the node: its end is a power cut)", name, up_node_ip(a, i),
            (int)up_alive(u, name));
    }
    return rc;
}

static int bring_nodes(struct upping *p)
{
    struct up *u = &p->u;
    unsigned want = p->want_nodes > u->nodes ? p->want_nodes : u->nodes;
    int rc = 0;
    for (unsigned i = 0; i < want && rc == 0; i++) {
        if (i < u->nodes && up_alive(u, format(p, "n%u", i + 1)) != 0) {
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

/* ---- up ---- */

static int parse_counts(struct upping *p)
{
    struct rctl *r = p->r;
    int64_t masters = MAX(p->u.masters, 0), agents = p->u.nodes, port = PORT_DEFAULT, timeout_ms;
    bool fresh = p->u.masters == 0;
    const char *m = opt(r, "masters"), *n = opt(r, "agents");
    masters = fresh ? 3 : masters;
    agents = fresh ? 2 : agents;
    int rc = m == NULL ? 0 : args_int("masters", m, 1, UP_MASTERS_NEW, &masters, &p->err);
    rc = rc != 0 || n == NULL ? rc : args_int("agents", n, 0, UP_NODES_MAX, &agents, &p->err);
    rc = rc != 0 || opt(r, "port") == NULL ? rc : args_int("port", opt(r, "port"), 1, 65000, &port, &p->err);
    rc = rc != 0 ? rc : args_duration_ms("timeout", opt(r, "timeout"), &timeout_ms, &p->err);
    if (rc != 0) {
        return rc;
    }
    if (m != NULL && masters % 2 == 0) {
        return error_set(
            &p->err, ERR_USAGE,
            "--masters is 1, 3, 5 or 7, not %lld: a majority must be up, so %lld masters can lose no more than "
            "%lld can",
            (long long)masters, (long long)masters, (long long)masters - 1);
    }
    if (masters < (int64_t)p->u.masters || agents < (int64_t)p->u.nodes) {
        bool which = masters < (int64_t)p->u.masters;
        return error_set(
            &p->err, ERR_USAGE,
            "--%s=%lld: the cluster in %s has %u, and up takes none away; %s, or begin anew with rctl down",
            which ? "masters" : "agents", (long long)(which ? masters : agents), p->u.dir,
            which ? p->u.masters : p->u.nodes,
            which ? "`rctl master remove` does" : "`rctl delete node` and `rctl drain` do");
    }
    if (opt(r, "port") != NULL && !fresh && masters == (int64_t)p->u.masters) {
        return error_set(&p->err, ERR_USAGE,
                         "--port is for new masters, and there are none to be made: those of %s have their ports "
                         "already (from %u on)",
                         p->u.dir, p->u.ports[0]);
    }
    p->want_masters = (unsigned)masters;
    p->want_nodes = (unsigned)agents;
    p->first_port = (uint16_t)port;
    p->deadline_ms = now_ms() + timeout_ms;
    if (p->want_nodes > 0 && geteuid() != 0) {
        return error_set(&p->err, ERR_FORBIDDEN,
                         "nodes need root (namespaces, cgroups); --agents 0 starts masters only");
    }
    return 0;
}

/* Times among a master's words; they come from options of their own. */
static bool is_time(const char *word)
{
    return strncmp(word, "--heartbeat=", 12) == 0 || strncmp(word, "--node-grace=", 13) == 0;
}

/* The words given are those the daemons have. */
static bool same_words(const struct rctl *r, const char *option, const char *const *have)
{
    unsigned n = args_count(&r->args, option), at = 0;
    for (unsigned i = 0; have[i] != NULL; i++) {
        if (is_time(have[i])) {
            continue;
        }
        if (at == n || strcmp(args_at(&r->args, option, at), have[i]) != 0) {
            return false;
        }
        at++;
    }
    return at == n;
}

/* More words for a daemon; none given: those of the first time stay. Daemons that are there keep theirs. */
static int take_words(struct upping *p, const char *option, unsigned daemons, const char **out)
{
    unsigned n = args_count(&p->r->args, option);
    if (n > UP_ARGS_MAX - 2) {
        return error_set(&p->err, ERR_USAGE, "at most %u times --%s", UP_ARGS_MAX - 2, option);
    }
    if (n > 0 && daemons > 0) {
        return same_words(p->r, option, out)
                   ? 0
                   : error_set(
                         &p->err, ERR_USAGE,
                         "--%s differs from what the cluster in %s was made with (see cluster.yaml there); it can "
                         "only be given when the cluster is made: rctl down first",
                         option, p->u.dir);
    }
    for (unsigned i = 0; i < n; i++) {
        out[i] = args_at(&p->r->args, option, i);
        out[i + 1] = NULL;
    }
    return 0;
}

/* --heartbeat and --node-grace are the masters', in seconds. They are fixed when a master's directory is made. */
static int take_times(struct upping *p)
{
    static const char *const options[] = {"heartbeat", "node-grace"};
    unsigned n = 0;
    while (p->u.master_args[n] != NULL) {
        n++;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(options); i++) {
        int64_t ms;
        const char *text = opt(p->r, options[i]);
        if (text == NULL) {
            continue;
        }
        int rc = args_duration_ms(options[i], text, &ms, &p->err);
        if (rc != 0) {
            return rc;
        }
        const char *word = format(p, "--%s=%lld.%03lld", options[i], (long long)ms / 1000, (long long)ms % 1000);
        if (p->u.masters > 0) {
            bool same = false;
            for (unsigned k = 0; k < n; k++) {
                same |= strcmp(p->u.master_args[k], word) == 0;
            }
            if (!same) {
                return error_set(&p->err, ERR_USAGE,
                                 "--%s can only be given when the cluster is made, and the one in %s was made with "
                                 "another one: rctl down first",
                                 options[i], p->u.dir);
            }
            continue;
        }
        p->u.master_args[n++] = word;
        p->u.master_args[n] = NULL;
    }
    return 0;
}

static int prepare(struct upping *p)
{
    struct rctl *r = p->r;
    struct error none = {0};
    int rc = up_init(&p->u, opt(r, "dir"), &p->err);
    rc = rc != 0 ? rc : up_check_kind(&p->u, &p->err);
    if (rc == 0 && (rc = up_load(&p->u, &none)) == ERR_NOT_FOUND) {
        rc = 0;
    } else if (rc != 0) {
        p->err = none.code != 0 ? none : p->err;
        return rc;
    }
    rc = rc != 0 ? rc : parse_counts(p);
    rc = rc != 0 ? rc : take_words(p, "master-arg", p->u.masters, p->u.master_args);
    rc = rc != 0 ? rc : take_words(p, "agent-arg", p->u.nodes, p->u.agent_args);
    rc = rc != 0 ? rc : take_times(p);
    if (rc == 0 && args_count(&r->args, "set") > 0 && p->u.masters > 0) {
        rc = error_set(&p->err, ERR_USAGE,
                       "--set can only be given when the cluster is made, and there is one in %s; \"rctl cluster set\" "
                       "changes what can change",
                       p->u.dir);
    }
    if (rc == 0 && opt(r, "images") != NULL) {
        char *real = realpath(opt(r, "images"), NULL);
        if (real == NULL) {
            return error_set_errno(&p->err, errno, "--images %s", opt(r, "images"));
        }
        bool other = p->u.nodes > 0 && (p->u.images == NULL || strcmp(p->u.images, real) != 0);
        const char *was = p->u.images == NULL ? "none" : p->u.images;
        p->u.images = arena_strdup(&p->u.arena, real);
        free(real);
        if (other) {
            return error_set(
                &p->err, ERR_USAGE,
                "--images %s: the nodes of %s were made with %s, and keep it; `rctl image load` brings them "
                "further images",
                p->u.images, p->u.dir, was);
        }
    }
    rc = rc != 0 ? rc : up_find_program(&r->arena, "reeve-master", &p->master, &p->err);
    if (rc == 0 && p->want_nodes > 0) {
        rc = up_find_program(&r->arena, "reeve-agent", &p->agent, &p->err);
    }
    return rc != 0 ? rc : up_make_dirs(&p->u, &p->err);
}

/* REEVE_CONFIG goes before ./.reeve/config: what is typed next would go to another cluster. */
static bool elsewhere(const struct up *u)
{
    const char *named = getenv("REEVE_CONFIG");
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    CLEANUP_FREE char *there = named == NULL || named[0] == '\0' ? NULL : realpath(named, NULL);
    CLEANUP_FREE char *ours = realpath(up_path(&a, u, "config"), NULL);
    return named != NULL && named[0] != '\0' && (there == NULL || ours == NULL || strcmp(there, ours) != 0);
}

static void print_closing(struct upping *p)
{
    const struct up *u = &p->u;
    bool other = elsewhere(u);
    CLEANUP_FREE char *local = realpath("./.reeve", NULL);
    say(p, "%s: %u master%s with a leader, %u node%s Ready.",
        p->started > 0 ? "The cluster is up" : "The cluster was running already", u->masters,
        u->masters == 1 ? "" : "s", u->nodes, u->nodes == 1 ? "" : "s");
    if (other) {
        say(p, "  note:  REEVE_CONFIG names another configuration at present, %s: rctl goes there until it is changed",
            getenv("REEVE_CONFIG"));
    }
    if (local != NULL && strcmp(local, u->dir) == 0 && !other) {
        say(p, "  look:  rctl get nodes        (finds ./.reeve/config; elsewhere: export REEVE_CONFIG=%s/config)",
            u->dir);
        say(p, "  stop:  rctl down");
    } else {
        say(p, "  look:  export REEVE_CONFIG=%s/config; rctl get nodes", u->dir);
        say(p, "  stop:  rctl down --dir %s", u->dir);
    }
}

static int run_up(struct rctl *r)
{
    struct upping p = {.r = r};
    if (r->args.words_count > 0) {
        return rctl_usage(r, "\"%s\" is not expected", r->args.words[0]);
    }
    int rc = prepare(&p);
    if (rc == 0) {
        say(&p, "Bringing up %u master%s and %u node%s in %s", p.want_masters, p.want_masters == 1 ? "" : "s",
            p.want_nodes, p.want_nodes == 1 ? "" : "s", p.u.dir);
        rc = p.want_nodes > 0 ? up_fabric_make(&p.u, &p.err) : 0;
    }
    rc = rc != 0 ? rc : bring_masters(&p);
    rc = rc != 0 ? rc : bring_nodes(&p);
    if (rc == 0) {
        print_closing(&p);
    }
    api_free(p.api);
    up_close(&p.u);
    if (rc != 0) {
        if (rc == ERR_USAGE) {
            return rctl_usage(r, "%s", p.err.message);
        }
        rctl_fail(r, &p.err);
        rctl_note(r, "\"rctl up\" goes on from here, \"rctl down\" removes what was started");
    }
    return rc == 0 ? EXIT_DONE : EXIT_FAILED;
}

const struct command command_up = {
    .name = "up",
    .usage = "[--masters N] [--agents N] [--dir DIR] [--images DIR]",
    .summary = "Start a cluster on this machine",
    .examples = "  # three masters and two nodes under ./.reeve; again: start what has died\n"
                "  rctl up\n"
                "  rctl up --masters 3 --agents 2 --images build/images\n"
                "  # a second one beside it\n"
                "  rctl up --dir /var/tmp/other --masters 1 --agents 1\n",
    .options = up_options,
    .options_count = ARRAY_SIZE(up_options),
    .run = run_up,
};
