/* rctl cluster status, rctl token create: the masters. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/timefmt.h"
#include "client/cmd/cluster_config.h"
#include "client/cmd/common.h"
#include "client/cmd/masters.h"
#include "client/cmd/token.h"
#include "proto/rpc/api.h"
#include "proto/text/text.h"

/* ---- cluster status ---- */

static const struct option_row status_options[] = {
    {"output", 'o', OPTION_VALUE, NULL, NULL, "FORM", "json or yaml: what the master answered"},
};

/* One row of the table. */
struct member {
    int64_t id, applied;
    const char *address, *role, *state;
    bool disk_low;
};

static bool is_up(const struct member *m)
{
    return strcmp(m->state, "up") == 0;
}

struct standing {
    unsigned voters, up;
    bool leader_up;
};

/* Asks each of them. Who leads is known when all have spoken: one that is down leads no more, whatever the others
 * believe for a moment. */
static void print_members(struct rctl *r, struct mp m, struct standing *s, struct buf *warnings)
{
    struct mp members = mp_get(m, "members");
    struct masters_view view = {0};
    struct member *list = arena_alloc(&r->arena, ((size_t)mp_count(members) + 1) * sizeof(*list));
    unsigned count = 0;
    masters_hear(&view, m);
    for (struct mp_iter it = mp_iter(members); mp_next(&it);) {
        struct str address = mp_str(mp_get(it.value, "address")), role = mp_str(mp_get(it.value, "role"));
        struct member *one = &list[count++];
        *one = (struct member){.id = mp_int(mp_get(it.value, "id"), 0),
                               .applied = mp_int(mp_get(it.value, "appliedIndex"), -1),
                               .address = arena_strndup(&r->arena, address.n ? address.p : "", address.n),
                               .role = arena_strndup(&r->arena, role.n ? role.p : "", role.n),
                               .state = "up",
                               .disk_low = mp_bool(mp_get(it.value, "diskLow"), false)};
        if (one->id != mp_int(mp_get(m, "id"), -1)) {
            one->state = masters_ask(r, one->address, &one->applied, warnings, &view);
        }
        bool voter = strcmp(one->role, "voter") == 0;
        s->voters += voter;
        s->up += voter && is_up(one);
    }
    static const char *const head[] = {"ID", "ADDRESS", "ROLE", "STATE", "APPLIED"};
    const char **cells = arena_alloc(&r->arena, 5 * ((size_t)mp_count(members) + 1) * sizeof(*cells));
    memcpy(cells, head, sizeof(head));
    for (unsigned i = 0; i < count; i++) {
        const struct member *one = &list[i];
        bool leads = one->id == view.leader && is_up(one);
        s->leader_up |= leads;
        const char *row[] = {arena_printf(&r->arena, "%" PRId64, one->id), one->address, leads ? "leader" : one->role,
                             one->disk_low && is_up(one) ? "up, disk nearly full" : one->state,
                             one->applied < 0 ? "-" : arena_printf(&r->arena, "%" PRId64, one->applied)};
        memcpy(cells + 5 * (size_t)(i + 1), row, sizeof(row));
    }
    CLEANUP_BUF struct buf out = BUF_INIT;
    grid_print(&out, cells, 5, count + 1);
    rctl_write(r, &out);
}

static void print_elections(struct rctl *r, struct mp e)
{
    int64_t timeout_ms = mp_int(mp_get(e, "timeoutMs"), 0), standstill_ms = mp_int(mp_get(e, "longestStandstillMs"), 0);
    int64_t changes = mp_int(mp_get(e, "leaderChanges"), 0);
    if (timeout_ms == 0) {
        return; /* an older master */
    }
    fprintf(r->out,
            "Leader:   replaced when silent for %.1f s (longest standstill of a master: %.1f s); %" PRId64
            " change%s seen\n",
            (double)timeout_ms / 1000, (double)standstill_ms / 1000, changes, changes == 1 ? "" : "s");
}

/* "2, all masters can 2", or the highest level of each master. */
static void print_level(struct rctl *r, struct mp m)
{
    struct mp level = mp_get(m, "featureLevel");
    if (mp_type(level) == MP_NONE) {
        return; /* an older master */
    }
    CLEANUP_BUF struct buf who = BUF_INIT;
    int64_t least = INT64_MAX, most = -1;
    for (struct mp_iter it = mp_iter(mp_get(m, "members")); mp_next(&it);) {
        struct str version = mp_str(mp_get(it.value, "version"));
        int64_t can = mp_int(mp_get(it.value, "programLevel"), -1);
        least = MIN(least, can);
        most = MAX(most, can);
        buf_printf(&who, "%s%" PRId64 ": ", who.size > 0 ? "; " : "", mp_int(mp_get(it.value, "id"), 0));
        if (can < 0) {
            buf_printf(&who, "not known");
        } else if (version.n == 0) {
            buf_printf(&who, "%" PRId64 ", an old version", can);
        } else {
            buf_printf(&who, "%" PRId64 ", version %.*s", can, STR_ARG(version));
        }
    }
    fprintf(r->out, "Level:    %" PRId64, mp_int(level, 0));
    if (least == most) {
        fprintf(r->out, "; all masters' programs know %" PRId64 "\n", most);
    } else {
        fprintf(r->out, "; the masters' programs know: %s\n", buf_cstr(&who));
    }
}

static void print_nodes(struct rctl *r, struct mp nodes)
{
    unsigned ready = 0, total = 0;
    CLEANUP_BUF struct buf not_ready = BUF_INIT;
    for (struct mp_iter it = mp_iter(nodes); mp_next(&it); total++) {
        struct mp v = mp_get(it.value, "ready");
        bool is = str_is(mp_str(v), "True") || mp_bool(v, false);
        struct str name = mp_str(mp_get(it.value, "name"));
        ready += is;
        if (!is) {
            buf_printf(&not_ready, "%s%.*s", not_ready.size > 0 ? ", " : "", STR_ARG(name));
        }
    }
    fprintf(r->out, "Nodes:    %u of %u Ready%s%s\n", ready, total, ready < total ? "; not: " : "",
            buf_cstr(&not_ready));
}

static int run_status(struct rctl *r)
{
    struct error err = {0};
    int code;
    if (!common_form_valid(r, &code)) {
        return code;
    }
    CLEANUP_REPLY struct api_reply reply = {0};
    if (rctl_connect(r, &err) != 0 || api_read(r->api, "cluster", value_map(&r->arena), &reply, &err) != 0) {
        return rctl_fail(r, &err);
    }
    struct mp m = reply.result;
    if (opt(r, "output") != NULL) {
        struct value *doc;
        if (msgpack_read_value(&r->arena, m.p, (size_t)(m.end - m.p), &doc, &err) != 0) {
            return rctl_fail(r, &err);
        }
        common_print_form(r, doc);
        return EXIT_DONE;
    }
    struct str name = mp_str(mp_get(m, "cluster"));
    struct standing s = {0};
    fprintf(r->out, "Cluster:  %.*s, term %" PRId64 ", applied index %" PRId64 ", revision %" PRId64 "\n",
            STR_ARG(name), mp_int(mp_get(m, "term"), 0), mp_int(mp_get(m, "appliedIndex"), 0),
            mp_int(mp_get(m, "revision"), 0));
    print_elections(r, mp_get(m, "elections"));
    print_level(r, m);
    print_nodes(r, mp_get(m, "nodes"));
    fputc('\n', r->out);
    CLEANUP_BUF struct buf warnings = BUF_INIT;
    masters_collect_warnings(m, &warnings);
    print_members(r, m, &s, &warnings);
    struct str full = mp_str(mp_path(m, "state.warning"));
    if (full.n > 0) {
        fprintf(r->out, "\nWarning:  %.*s\n", STR_ARG(full));
    }
    if (warnings.size > 0) {
        fprintf(r->out, "\n%sWarning:  \"rctl cert status\" shows all certificates.\n", buf_cstr(&warnings));
    }
    fprintf(r->out, "\n%s.\n", masters_verdict(&r->arena, s.voters, s.up, s.leader_up));
    return s.leader_up && s.up > s.voters / 2 ? EXIT_DONE : EXIT_NO_QUORUM;
}

static const struct command cluster_status = {
    .name = "status",
    .usage = "[-o json|yaml]",
    .summary = "Masters, leader, and how many can be lost",
    .examples = "  rctl cluster status\n"
                "  # all counters of the master that answers\n"
                "  rctl cluster status -o yaml\n"
                "  # exit code 7 when there is no quorum, or no leader yet\n"
                "  rctl cluster status >/dev/null || echo trouble\n",
    .options = status_options,
    .options_count = ARRAY_SIZE(status_options),
    .run = run_status,
    .wordless = true,
};
static const struct command *const cluster_subs[] = {&cluster_status, &cluster_show, &cluster_set, NULL};
const struct command command_cluster = {
    .name = "cluster",
    .usage = "status|show|set",
    .summary = "The masters: who leads, who is missing; what holds for the whole cluster",
    .examples = "  rctl cluster status\n"
                "  rctl cluster show\n",
    .subs = cluster_subs,
};

/* ---- token create ---- */

static const struct option_row token_options[] = {
    {"role", 0, OPTION_VALUE, "node", NULL, "ROLE", "node or master: what may join with it"},
    {"ttl", 0, OPTION_VALUE, NULL, NULL, "DURATION", "how long it is good (24h)"},
    {"uses", 0, OPTION_VALUE, "1", NULL, "N", "how many machines may join with it"},
    {"node-name", 0, OPTION_VALUE, NULL, NULL, "NAME", "the name that the node must have, or a pattern: 'rack1-*'"},
};

static int run_token_create(struct rctl *r)
{
    struct error err = {0};
    const char *role = opt(r, "role"), *ttl = opt(r, "ttl"), *node_name = opt(r, "node-name");
    int64_t ttl_ms = 0, uses = 0;
    bool master = strcmp(role, "master") == 0;
    if (!master && strcmp(role, "node") != 0) {
        return rctl_usage(r, "--role is node or master, not \"%s\"", role);
    }
    if (ttl != NULL && args_duration_ms("ttl", ttl, &ttl_ms, &err) != 0) {
        return rctl_usage(r, "%s", err.message);
    }
    if (args_int("uses", opt(r, "uses"), 1, API_TOKEN_USES_MAX, &uses, &err) != 0) {
        return rctl_usage(r, "%s", err.message);
    }
    if (master && node_name != NULL) {
        return rctl_usage(r, "--node-name is for nodes; masters get their numbers from the cluster");
    }
    struct value *params = value_map(&r->arena);
    value_set(&r->arena, params, "role", value_cstr(&r->arena, role));
    if (uses != 1) {
        value_set(&r->arena, params, "uses", value_int(&r->arena, uses));
    }
    if (node_name != NULL) {
        value_set(&r->arena, params, "nodeName", value_cstr(&r->arena, node_name));
    }
    if (ttl != NULL) {
        value_set(&r->arena, params, "ttlSeconds", value_int(&r->arena, ttl_ms / 1000));
    }
    CLEANUP_REPLY struct api_reply reply = {0};
    if (rctl_connect(r, &err) != 0 || api_read(r->api, "token", params, &reply, &err) != 0) {
        return rctl_fail(r, &err);
    }
    struct str token = mp_str(mp_get(reply.result, "token")), address = mp_str(mp_get(reply.result, "address"));
    struct str expires = mp_str(mp_get(reply.result, "expires"));
    fprintf(r->out, "%.*s\n", STR_ARG(token));
    fflush(r->out);
    rctl_note(r, "good until %.*s, for %s; put it into a file on the machine that joins, and there:", STR_ARG(expires),
              uses == 1 ? "one machine" : arena_printf(&r->arena, "%lld machines", (long long)uses));
    if (master) {
        rctl_note(r, "  reeve-master join --dir /var/lib/reeve --listen THIS-HOST:7400 --token-file FILE %.*s",
                  STR_ARG(address));
    } else {
        rctl_note(r, "  reeve-agent join --dir /var/lib/reeve-agent --name %s --token-file FILE %.*s",
                  node_name != NULL && strpbrk(node_name, "*?") == NULL ? node_name : "THIS-HOST", STR_ARG(address));
    }
    return EXIT_DONE;
}

static const struct command token_create = {
    .name = "create",
    .usage = "[--role node|master] [--ttl DURATION] [--uses N] [--node-name NAME]",
    .summary = "Make a token with which a machine can join",
    .examples = "  rctl token create\n"
                "  rctl token create --role master --ttl 1h\n"
                "  # for five machines, whatever they are called in that rack\n"
                "  rctl token create --uses 5 --node-name 'rack1-*'\n"
                "  token=$(rctl token create 2>/dev/null)\n",
    .options = token_options,
    .options_count = ARRAY_SIZE(token_options),
    .run = run_token_create,
    .wordless = true,
};
static const struct command *const token_subs[] = {&token_create, &token_list, NULL};
const struct command command_token = {
    .name = "token",
    .usage = "create [--role node|master] | list",
    .summary = "Tokens for machines that join",
    .examples = "  rctl token create\n"
                "  rctl token list\n",
    .subs = token_subs,
};
