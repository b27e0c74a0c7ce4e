/* rctl master: the masters of a cluster come and go.
 *
 * All commands may be repeated. A removal of a master that is gone already, and a replacement that was done before,
 * succeed and say so. The leader decides whether a change is safe (master/members/change.c), not this program. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/env.h"
#include "client/cmd/common.h"
#include "client/cmd/masters.h"
#include "proto/net/net.h"
#include "proto/text/text.h"

#define CHANGE_MS 60000 /* for elections and other changes on the way */
#define POLL_MS   200

/* ---- What the cluster says ---- */

void masters_collect_warnings(struct mp answer, struct buf *warnings)
{
    for (struct mp_iter it = mp_iter(mp_get(answer, "certificateWarnings")); mp_next(&it);) {
        CLEANUP_FREE char *line = xasprintf("Warning:  %.*s\n", STR_ARG(mp_str(it.value)));
        if (strstr(buf_cstr(warnings), line) == NULL) { /* all masters say the same about the CA */
            buf_puts(warnings, line);
        }
    }
}

void masters_hear(struct masters_view *v, struct mp answer)
{
    int64_t term = mp_int(mp_get(answer, "term"), 0), leader = mp_int(mp_get(answer, "leader"), 0);
    if (term > v->term || (term == v->term && leader != 0)) {
        *v = (struct masters_view){term, leader};
    }
}

const char *masters_verdict(struct arena *a, unsigned voters, unsigned up, bool leader_up)
{
    unsigned needed = voters / 2 + 1;
    if (up < needed) {
        return arena_printf(
            a,
            "No quorum: %u of %u voters %s up, %u are needed; requests wait, and are refused in the end, "
            "until more are back",
            up, voters, up == 1 ? "is" : "are", needed);
    }
    if (!leader_up) {
        return arena_printf(
            a, "Electing a leader: %u of %u voters are up, which are enough; requests wait until one leads", up,
            voters);
    }
    return arena_printf(a, "%u of %u voters %s up: it can lose %u more", up, voters, up == 1 ? "is" : "are",
                        up - needed);
}

const char *masters_ask(struct rctl *r, const char *address, int64_t *applied, struct buf *warnings,
                        struct masters_view *view)
{
    struct error err = {0};
    struct api *api;
    *applied = -1;
    if (api_new(&r->target, MASTERS_ASK_MS, false, &api, &err) != 0) {
        return "down";
    }
    api_pin(api, address);
    CLEANUP_REPLY struct api_reply reply = {0};
    int rc = api_read(api, "cluster", value_map(&r->arena), &reply, &err);
    if (rc == 0) {
        *applied = mp_int(mp_get(reply.result, "appliedIndex"), -1);
        if (warnings != NULL) {
            masters_collect_warnings(reply.result, warnings);
        }
        if (view != NULL) {
            masters_hear(view, reply.result);
        }
    }
    api_free(api);
    return rc == 0 ? "up" : "down";
}

struct master_row {
    int64_t id, applied, lag; /* -1: unknown */
    const char *address, *role, *state;
    bool voter, leader, up;
};
struct masters {
    struct master_row *rows;
    unsigned count, voters, up; /* up: of the voters */
    int64_t leader, term;
    bool leader_up;
    const char *cluster;
};

static const char *text_of(struct rctl *r, struct mp m, const char *key)
{
    struct str s = mp_str(mp_get(m, key));
    return arena_strndup(&r->arena, s.n == 0 ? "" : s.p, s.n);
}

/* ask: each of them, whether it is up and how far it is; else what the one that answers believes. */
static int read_masters(struct rctl *r, bool ask, struct masters *out, struct error *err)
{
    CLEANUP_REPLY struct api_reply reply = {0};
    int rc = api_read(r->api, "cluster", value_map(&r->arena), &reply, err);
    if (rc != 0) {
        return rc;
    }
    struct mp members = mp_get(reply.result, "members");
    int64_t self = mp_int(mp_get(reply.result, "id"), 0), commit = mp_int(mp_get(reply.result, "commitIndex"), 0);
    *out = (struct masters){.leader = mp_int(mp_get(reply.result, "leader"), 0),
                            .term = mp_int(mp_get(reply.result, "term"), 0),
                            .cluster = text_of(r, reply.result, "cluster")};
    struct masters_view view = {0};
    masters_hear(&view, reply.result);
    out->rows = arena_alloc(&r->arena, (mp_count(members) + 1) * sizeof(*out->rows));
    for (struct mp_iter it = mp_iter(members); mp_next(&it);) {
        struct master_row *row = &out->rows[out->count++];
        *row = (struct master_row){.id = mp_int(mp_get(it.value, "id"), 0),
                                   .applied = mp_int(mp_get(it.value, "appliedIndex"), -1),
                                   .lag = -1,
                                   .address = text_of(r, it.value, "address"),
                                   .role = text_of(r, it.value, "role"),
                                   .leader = mp_bool(mp_get(it.value, "leader"), false)};
        row->state = row->id == self || mp_bool(mp_get(it.value, "reachable"), false) ? "up" : "down";
        if (ask && row->id != self) {
            row->state = masters_ask(r, row->address, &row->applied, NULL, &view);
        }
        row->up = strcmp(row->state, "up") == 0;
        row->voter = strcmp(row->role, "voter") == 0;
        row->lag = row->applied < 0 ? -1 : MAX(commit - row->applied, 0);
        out->voters += row->voter;
        out->up += row->voter && row->up;
    }
    out->leader = view.leader;
    out->term = view.term;
    for (unsigned i = 0; i < out->count;
         i++) { /* one that is down leads no more, whatever the others believe for a moment */
        struct master_row *row = &out->rows[i];
        row->leader = row->id == view.leader && row->up;
        out->leader_up |= row->leader;
    }
    return 0;
}

static const struct master_row *row_of(const struct masters *m, int64_t id)
{
    for (unsigned i = 0; i < m->count; i++) {
        if (m->rows[i].id == id) {
            return &m->rows[i];
        }
    }
    return NULL;
}

static int can_lose(const struct masters *m)
{
    return m->leader_up ? (int)m->up - (int)(m->voters / 2 + 1) : -1;
}

static const char *reserve_text(struct rctl *r, const struct masters *m)
{
    return masters_verdict(&r->arena, m->voters, m->up, m->leader_up);
}

/* A configuration that knows one master of three is of no use once that one is dead. */
static void note_unknown(struct rctl *r, const struct masters *m)
{
    unsigned known = 0;
    for (unsigned i = 0; i < m->count; i++) {
        for (unsigned j = 0; j < r->target.servers_count; j++) {
            known += strcmp(m->rows[i].address, r->target.servers[j]) == 0;
        }
    }
    if (known < m->count) {
        rctl_note(r, "the client configuration knows %u of the %u masters; to let it know all: rctl config set-servers",
                  known, m->count);
    }
}

static void note_reserve(struct rctl *r)
{
    struct masters m;
    if (read_masters(r, false, &m, NULL) == 0) {
        rctl_note(r, "%s", reserve_text(r, &m));
        note_unknown(r, &m);
    }
}

static int id_word(struct rctl *r, unsigned i, int64_t *id)
{
    char *end;
    const char *word = r->args.words[i];
    *id = strtoll(word, &end, 10);
    return *word != '\0' && *end == '\0' && *id > 0 ? 0 : -1;
}

static int bad_id(struct rctl *r, const char *word)
{
    return rctl_usage(r, "\"%s\" is no master's id; ids are numbers, `rctl master list` shows them", word);
}

/* ---- list ---- */

static const struct option_row form_options[] = {
    {"output", 'o', OPTION_VALUE, NULL, NULL, "FORM", "json or yaml"},
};

static struct value *masters_doc(struct rctl *r, const struct masters *m)
{
    struct arena *a = &r->arena;
    struct value *doc = value_map(a), *list = value_list(a);
    value_set(a, doc, "cluster", value_cstr(a, m->cluster));
    value_set(a, doc, "term", value_int(a, m->term));
    value_set(a, doc, "leader", value_int(a, m->leader));
    value_set(a, doc, "electing", value_bool(a, !m->leader_up && m->up > m->voters / 2));
    value_set(a, doc, "canLose", value_int(a, can_lose(m)));
    value_set(a, doc, "masters", list);
    for (unsigned i = 0; i < m->count; i++) {
        const struct master_row *row = &m->rows[i];
        struct value *v = value_map(a);
        value_set(a, v, "id", value_int(a, row->id));
        value_set(a, v, "address", value_cstr(a, row->address));
        value_set(a, v, "role", value_cstr(a, row->role));
        value_set(a, v, "leader", value_bool(a, row->leader));
        value_set(a, v, "state", value_cstr(a, row->state));
        if (row->applied >= 0) {
            value_set(a, v, "appliedIndex", value_int(a, row->applied));
            value_set(a, v, "lag", value_int(a, row->lag));
        }
        value_append(a, list, v);
    }
    return doc;
}

static const char *number_or_dash(struct rctl *r, int64_t n)
{
    return n < 0 ? "-" : arena_printf(&r->arena, "%" PRId64, n);
}

static int run_list(struct rctl *r)
{
    struct error err = {0};
    struct masters m;
    int code;
    if (!common_form_valid(r, &code)) {
        return code;
    }
    if (rctl_connect(r, &err) != 0 || read_masters(r, true, &m, &err) != 0) {
        return rctl_fail(r, &err);
    }
    if (opt(r, "output") != NULL) {
        common_print_form(r, masters_doc(r, &m));
    } else {
        static const char *const head[] = {"ID", "ADDRESS", "ROLE", "STATE", "APPLIED", "LAG"};
        const char **cells = arena_alloc(&r->arena, ARRAY_SIZE(head) * (m.count + 1) * sizeof(*cells));
        memcpy(cells, head, sizeof(head));
        for (unsigned i = 0; i < m.count; i++) {
            const struct master_row *row = &m.rows[i];
            const char *line[] = {number_or_dash(r, row->id),         row->address,
                                  row->leader ? "leader" : row->role, row->state,
                                  number_or_dash(r, row->applied),    number_or_dash(r, row->lag)};
            memcpy(cells + ARRAY_SIZE(head) * (i + 1), line, sizeof(line));
        }
        CLEANUP_BUF struct buf out = BUF_INIT;
        grid_print(&out, cells, ARRAY_SIZE(head), m.count + 1);
        buf_printf(&out, "\n%s.\n", reserve_text(r, &m));
        rctl_write(r, &out);
        fflush(r->out);
        note_unknown(r, &m);
    }
    return can_lose(&m) < 0 ? EXIT_NO_QUORUM : EXIT_DONE;
}

static const struct command master_list = {
    .name = "list",
    .alias = "ls",
    .usage = "[-o json|yaml]",
    .summary = "Who is there, who votes, who lags, and how many can be lost",
    .examples = "  rctl master list\n"
                "  # how many masters may fail now\n"
                "  rctl master list -o json | jq .canLose\n"
                "  # exit code 7 when there is no quorum, or no leader yet\n"
                "  rctl master list >/dev/null || echo trouble\n",
    .options = form_options,
    .options_count = ARRAY_SIZE(form_options),
    .run = run_list,
    .wordless = true,
};

/* ---- add, replace: tokens and join lines ---- */

#define JOIN_OPTIONS                                                                                                   \
    {"listen", 0, OPTION_VALUE, "THIS-HOST:7400", NULL, "HOST:PORT", "address of the new master, for the join line"},  \
        {"dir", 0, OPTION_VALUE, "/var/lib/reeve", NULL, "DIR", "its data directory, for the join line"},              \
        {"ttl", 0, OPTION_VALUE, NULL, NULL, "DURATION", "how long the token is good (24h, which is also the most)"},  \
    {                                                                                                                  \
        "output", 'o', OPTION_VALUE, NULL, NULL, "FORM", "json or yaml: token, addresses and line"                     \
    }
static const struct option_row add_options[] = {JOIN_OPTIONS};
static const struct option_row replace_options[] = {
    JOIN_OPTIONS,
    {"yes", 'y', OPTION_FLAG, NULL, NULL, NULL, "also if OLD is up: do not ask"},
};

/* The addresses that the newcomer may ask: of all masters that are up, without the one that goes. */
static const char *addresses_of(struct rctl *r, const struct masters *m, int64_t but)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    for (unsigned i = 0; i < m->count; i++) {
        const struct master_row *row = &m->rows[i];
        if (row->up && row->id != but) {
            buf_printf(&b, "%s%s", b.size > 0 ? "," : "", row->address);
        }
    }
    return arena_strndup(&r->arena, buf_cstr(&b), b.size);
}

/* The new master's address, which goes into a line for a shell. 0, or what rctl_usage says. */
static int listen_valid(struct rctl *r)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_:";
    const char *text = opt(r, "listen");
    char host[256], port[8];
    if (!net_addr_split(text, host, port) || host[0] == '\0' || atoi(port) == 0 ||
        strspn(host, letters) < strlen(host)) {
        return rctl_usage(
            r, "--listen is HOST:PORT, as in 10.0.0.4:7400, [fd00::4]:7400 or m4.example.org:7400, not \"%s\"", text);
    }
    return 0;
}

/* As one word of a shell's line: in quotes where it needs them. */
static const char *shell_word(struct arena *a, const char *text)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:@%+=,-";
    if (text[0] != '\0' && text[strspn(text, plain)] == '\0') {
        return text;
    }
    CLEANUP_BUF struct buf out = BUF_INIT;
    buf_printf(&out, "'");
    for (const char *c = text; *c != '\0'; c++) {
        buf_printf(&out, *c == '\'' ? "'\\''" : "%c", *c);
    }
    buf_printf(&out, "'");
    return arena_strdup(a, buf_cstr(&out));
}

static int print_join(struct rctl *r, const struct masters *m, int64_t replaces, bool even_reachable)
{
    struct arena *a = &r->arena;
    struct error err = {0};
    const char *ttl = opt(r, "ttl");
    int64_t ttl_ms = 0;
    int code;
    if (!common_form_valid(r, &code)) {
        return code;
    }
    struct value *params = value_map(a);
    value_set(a, params, "role", value_cstr(a, "master"));
    if (ttl != NULL && args_duration_ms("ttl", ttl, &ttl_ms, &err) != 0) {
        return rctl_usage(r, "%s", err.message);
    }
    if (ttl != NULL) {
        value_set(a, params, "ttlSeconds", value_int(a, ttl_ms / 1000));
    }
    if (replaces != 0) {
        value_set(a, params, "replaces", value_int(a, replaces));
        value_set(a, params, "evenReachable", value_bool(a, even_reachable));
    }
    CLEANUP_REPLY struct api_reply reply = {0};
    if (api_read(r->api, "token", params, &reply, &err) != 0) {
        return rctl_fail(r, &err);
    }
    const char *token = text_of(r, reply.result, "token"), *expires = text_of(r, reply.result, "expires");
    const char *addresses = addresses_of(r, m, replaces), *dir = shell_word(a, opt(r, "dir"));
    const char *line =
        arena_printf(a, "echo %s | reeve-master join --dir %s --listen %s --token-file - %s", token, dir,
                     opt(r, "listen"), addresses[0] != '\0' ? addresses : text_of(r, reply.result, "address"));
    struct value *doc = value_map(a);
    value_set(a, doc, "token", value_cstr(a, token));
    value_set(a, doc, "expires", value_cstr(a, expires));
    value_set(a, doc, "masters", value_cstr(a, addresses));
    value_set(a, doc, "join", value_cstr(a, line));
    if (opt(r, "output") != NULL) {
        common_print_form(r, doc);
        return EXIT_DONE;
    }
    fprintf(r->out, "%s\n", line);
    fflush(r->out);
    rctl_note(r, "type this on the new machine%s, before %s, then start it there:",
              strstr(line, "THIS-HOST") != NULL ? " (for THIS-HOST its own name or address)" : "", expires);
    rctl_note(r, "  reeve-master run --dir %s", dir);
    return EXIT_DONE;
}

static int run_add(struct rctl *r)
{
    struct error err = {0};
    struct masters m;
    if (r->args.words_count > 0) {
        return rctl_usage(r, "add takes no words; the new master's address goes into --listen HOST:PORT");
    }
    int bad = listen_valid(r);
    if (bad != 0) {
        return bad;
    }
    if (rctl_connect(r, &err) != 0 || read_masters(r, false, &m, &err) != 0) {
        return rctl_fail(r, &err);
    }
    int rc = print_join(r, &m, 0, false);
    if (rc == EXIT_DONE && opt(r, "output") == NULL) {
        rctl_note(r, "it catches up and then votes, by itself; `rctl master list` shows it");
    }
    return rc;
}

static const struct command master_add = {
    .name = "add",
    .usage = "[--listen HOST:PORT] [--dir DIR] [--ttl DURATION] [-o json|yaml]",
    .summary = "Make a token, and print the line with which a new master joins",
    .examples = "  rctl master add --listen 10.0.0.4:7400\n"
                "  # to be typed on the new machine at once\n"
                "  rctl master add --listen 10.0.0.4:7400 2>/dev/null | ssh root@10.0.0.4 sh\n"
                "  # the token alone, for a script\n"
                "  rctl master add -o json | jq -r .token\n",
    .options = add_options,
    .options_count = ARRAY_SIZE(add_options),
    .run = run_add,
};

/* Only a terminal is asked. */
static bool confirmed(struct rctl *r, const struct master_row *old)
{
    if (opt_flag(r, "yes")) {
        return true;
    }
    fprintf(r->err_out, "Master %" PRId64 " at %s is up. It would go as soon as the new one votes. Replace it? [y/N] ",
            old->id, old->address);
    fflush(r->err_out);
    char answer[8] = "";
    bool yes = fgets(answer, sizeof(answer), stdin) != NULL && (answer[0] == 'y' || answer[0] == 'Y');
    if (!yes) {
        rctl_note(r, "nothing was done");
    }
    return yes;
}

static int run_replace(struct rctl *r)
{
    struct error err = {0};
    struct masters m;
    int64_t id;
    if (r->args.words_count != 1) {
        return rctl_usage(r, "replace needs the id of the master that goes; `rctl master list` shows the ids");
    }
    if (id_word(r, 0, &id) != 0) {
        return bad_id(r, r->args.words[0]);
    }
    int bad = listen_valid(r);
    if (bad != 0) {
        return bad;
    }
    if (rctl_connect(r, &err) != 0 || read_masters(r, true, &m, &err) != 0) {
        return rctl_fail(r, &err);
    }
    const struct master_row *old = row_of(&m, id);
    if (old == NULL) {
        error_set(&err, ERR_NOT_FOUND,
                  "no master has the id %" PRId64 "; `rctl master list` shows them, `rctl master add` "
                  "adds one",
                  id);
        return rctl_fail(r, &err);
    }
    if (old->up && !opt_flag(r, "yes") && !isatty(0)) {
        error_set(&err, ERR_CONFLICT,
                  "master %" PRId64 " at %s is up; to replace it all the same: "
                  "rctl master replace %" PRId64 " --yes",
                  id, old->address, id);
        return rctl_fail(r, &err);
    }
    if (old->up && !confirmed(r, old)) {
        return EXIT_FAILED;
    }
    bool was_up = old->up;
    int rc = print_join(r, &m, id, was_up);
    if (rc == EXIT_DONE && opt(r, "output") == NULL) {
        rctl_note(r,
                  was_up ? "master %" PRId64 " is removed when the new one votes; it then stops by itself"
                         : "master %" PRId64 " is removed when the new one joins; nothing else is to be done",
                  id);
    }
    return rc;
}

static const struct command master_replace = {
    .name = "replace",
    .usage = "OLD [--listen HOST:PORT] [--dir DIR] [--yes]",
    .summary = "A new master for a dead one: removes OLD when the new one joins",
    .examples = "  # master 2 is dead; 10.0.0.7 takes its place\n"
                "  rctl master replace 2 --listen 10.0.0.7:7400\n"
                "  # the same machine with an empty disk may take its own place, at the same address\n"
                "  rctl master replace 2 --listen 10.0.0.2:7400\n"
                "  # master 2 lives, but its machine is to go: it stays until the new one votes\n"
                "  rctl master replace 2 --listen 10.0.0.7:7400 --yes\n",
    .options = replace_options,
    .options_count = ARRAY_SIZE(replace_options),
    .run = run_replace,
};

/* ---- transfer, remove ---- */

/* Until another than `old` leads (id 0), or `id`. m is what was seen last. */
static int await_leader(struct rctl *r, int64_t old, int64_t id, struct masters *m, struct error *err)
{
    int64_t until = env_now_ms(env_real()) + API_DEADLINE_MS;
    for (;;) {
        int rc = read_masters(r, false, m, err);
        if (rc == 0 && m->leader != 0 && (id == 0 ? m->leader != old : m->leader == id)) {
            return 0;
        }
        if (env_now_ms(env_real()) > until) {
            return rc != 0 ? rc
                           : error_set(err, ERR_TIMEOUT,
                                       "the leadership did not go over; master %" PRId64 " leads (0: nobody known); "
                                       "`rctl master list` shows whether the other one lags; try again",
                                       m->leader);
        }
        usleep(POLL_MS * 1000);
    }
}

/* From `old`, as m has it, to id (0: the best). Afterwards m is new. */
static int transfer(struct rctl *r, struct masters *m, int64_t id, struct error *err)
{
    int64_t old = m->leader;
    struct value *params = value_map(&r->arena);
    value_set(&r->arena, params, "id", value_int(&r->arena, id));
    value_set(&r->arena, params, "from", value_int(&r->arena, old));
    CLEANUP_REPLY struct api_reply reply = {0};
    int rc = api_read(r->api, "master.transfer", params, &reply, err);
    if (rc != 0 && api_refused(r->api) && err_class(rc) == ERR_CLASS_CALLER) {
        return rc;
    }
    return await_leader(r, old, id, m, err); /* who has given it away may not have been able to say so */
}

static int run_transfer(struct rctl *r)
{
    struct error err = {0};
    struct masters m;
    int64_t id = 0;
    if (r->args.words_count > 1) {
        return rctl_usage(r, "transfer takes one id at most");
    }
    if (r->args.words_count == 1 && id_word(r, 0, &id) != 0) {
        return bad_id(r, r->args.words[0]);
    }
    if (rctl_connect(r, &err) != 0 || read_masters(r, false, &m, &err) != 0) {
        return rctl_fail(r, &err);
    }
    int64_t old = m.leader;
    if (old == 0) {
        error_set(&err, ERR_NO_QUORUM,
                  "there is no leader that could give anything away; `rctl cluster status` says what is missing");
        return rctl_fail(r, &err);
    }
    if (old == id) {
        fprintf(r->out, "master %" PRId64 " leads already\n", id);
        return EXIT_DONE;
    }
    if (transfer(r, &m, id, &err) != 0) {
        return rctl_fail(r, &err);
    }
    fprintf(r->out, "master %" PRId64 " leads now, instead of master %" PRId64 "\n", m.leader, old);
    return EXIT_DONE;
}

static const struct command master_transfer = {
    .name = "transfer",
    .usage = "[ID]",
    .summary = "Let another master lead, before maintenance of the one that does",
    .examples = "  # whoever is furthest with the log\n"
                "  rctl master transfer\n"
                "  rctl master transfer 3\n",
    .run = run_transfer,
};

static const struct option_row remove_options[] = {
    {"force", 0, OPTION_FLAG, NULL, NULL, NULL,
     "even if the cluster can lose no other master then; never below a majority that is up"},
};

/* The leader can't remove itself: first another one leads. Elections may come in between, so again, until the time
 * is over. */
static int remove_master(struct rctl *r, int64_t id, struct error *err)
{
    struct value *params = value_map(&r->arena);
    value_set(&r->arena, params, "id", value_int(&r->arena, id));
    value_set(&r->arena, params, "force", value_bool(&r->arena, opt_flag(r, "force")));
    for (int64_t until = env_now_ms(env_real()) + CHANGE_MS;;) {
        struct masters m;
        CLEANUP_REPLY struct api_reply reply = {0};
        int rc = read_masters(r, false, &m, err);
        bool leads = rc == 0 && m.leader == id;
        if (leads && m.voters > 1) {
            rctl_note(r, "master %" PRId64 " leads; another one takes over first", id);
            rc = transfer(r, &m, 0, err);
        }
        if (rc == 0) {
            rc = api_read(r->api, "master.remove", params, &reply, err);
        }
        bool again = rc != 0 && (err_class(rc) == ERR_CLASS_RETRY || err_class(rc) == ERR_CLASS_UNKNOWN ||
                                 (rc == ERR_USAGE && strstr(err->message, "transfer the leadership") != NULL));
        if (!again || env_now_ms(env_real()) > until) {
            return rc;
        }
        usleep(POLL_MS * 1000);
    }
}

static int run_remove(struct rctl *r)
{
    struct error err = {0};
    int64_t id;
    if (r->args.words_count != 1) {
        return rctl_usage(r, "remove needs the id of one master; `rctl master list` shows the ids");
    }
    if (id_word(r, 0, &id) != 0) {
        return bad_id(r, r->args.words[0]);
    }
    if (rctl_connect(r, &err) != 0 || remove_master(r, id, &err) != 0) {
        return rctl_fail(r, &err);
    }
    fprintf(r->out, "master %" PRId64 " removed\n", id);
    fflush(r->out);
    rctl_note(r, "it stops by itself, or as soon as it comes back; its data can be deleted");
    note_reserve(r);
    return EXIT_DONE;
}

static const struct command master_remove = {
    .name = "remove",
    .alias = "rm",
    .usage = "ID [--force]",
    .summary = "Take a master out of the cluster, for good",
    .examples = "  rctl master remove 3\n"
                "  # down to two, or one, on purpose\n"
                "  rctl master remove 3 --force\n"
                "  # a dead one that somebody else takes the place of: better\n"
                "  rctl master replace 3 --listen 10.0.0.7:7400\n",
    .options = remove_options,
    .options_count = ARRAY_SIZE(remove_options),
    .run = run_remove,
};

static const struct command *const master_subs[] = {&master_add,     &master_list,     &master_remove,
                                                    &master_replace, &master_transfer, NULL};
const struct command command_master = {
    .name = "master",
    .usage = "add|list|remove|replace|transfer",
    .summary = "Masters come and go: join lines, removal, replacement of a dead one",
    .examples = "  rctl master list\n"
                "  rctl master add --listen 10.0.0.4:7400\n"
                "  rctl master replace 2 --listen 10.0.0.7:7400\n",
    .subs = master_subs,
};
