/* A whole front of another language than msgpack-RPC: requests are lines of text, as REST's will be HTTP. It embeds an
 * errand (master/front/errand.h) and says no more than how lines are read and answers written.
 *
 * There are three masters on a simulated network and disk, without connections. What they ask each other goes over that
 * network; a request that arrives at a leader so is served as the front of msgpack-RPC does it, which would need
 * connections. */
#ifndef TESTS_UNIT_API_LINES_H
#define TESTS_UNIT_API_LINES_H

#include "tests/unit/api_text.h"

#include "master/api/read.h"
#include "master/api/watch.h"
#include "master/auth/revoked.h"
#include "master/front/ask.h"
#include "master/front/parked.h"
#include "master/front/typed.h"
#include "master/front/verbs.h"
#include "master/nodes/feeds.h"
#include "proto/schema/kind.h"

struct town;
/* One master, and a connection to it. */
struct place {
    struct master m;
    struct session session;
    bool hung_up;
    struct town *town;
    uint64_t id, leader; /* as was known last */
    bool leading;
};
struct town {
    struct cluster c;
    struct place *places[MEMBERS_MAX + 1]; /* by id */
    unsigned letters;                      /* between masters */
    unsigned rounds;                       /* of the same lines */
    bool deaf;                             /* no stream takes anything */
};

/* ---- The front: lines ---- */

#define WORDS_MAX 8u
struct asked {
    struct errand e;
    struct place *place;
    char *line;
    struct told told;
};

static struct asked *asked_of(const struct errand *e)
{
    return CONTAINER_OF(e, struct asked, e);
}

static struct told *told_of(const struct api_call *c)
{
    return &asked_of(errand_of_api(c))->told;
}

/* The value of an option, "id=7"; "": there is none. */
static const char *option(const char *line, const char *name)
{
    char with[32];
    snprintf(with, sizeof with, " %s=", name);
    const char *at = strstr(line, with);
    return at == NULL ? "" : at + strlen(with);
}

/* Ids of one round are others than those of the next. */
static struct api_write write_of(struct arena *a, const char *line, unsigned round)
{
    uint8_t *id = arena_alloc(a, TXN_ID_SIZE);
    memset(id, 0, TXN_ID_SIZE);
    id[0] = (uint8_t)atoi(option(line, "id"));
    id[1] = (uint8_t)round;
    return (struct api_write){.id = id[0] == 0 ? NULL : id};
}

static struct value *config_doc(struct arena *a, const char *name, const char *text)
{
    struct value *doc = document(a, CONFIG("x"));
    value_set(a, value_get(doc, "metadata"), "name", value_cstr(a, name));
    if (text != NULL) {
        value_set(a, doc, "data", value_map(a));
        value_set(a, value_get(doc, "data"), "k", value_cstr(a, text));
    }
    return doc;
}

/* One of one name, or of two. */
static void read_several(struct arena *a, const char *const w[], const struct api_write *how, struct api_request *q)
{
    if (strcmp(w[0], "apply") == 0) {
        struct value *list = value_list(a);
        value_append(a, list, config_doc(a, w[1], "applied"));
        value_append(a, list, config_doc(a, w[2], NULL));
        *q = (struct api_request){.verb = API_APPLY,
                                  .apply = {.how = *how, .objects = list, .part = api_part_named(STR_NONE)}};
    } else { /* makes the first and deletes the second */
        struct api_op *ops = arena_alloc(a, 2 * sizeof *ops);
        ops[0] = (struct api_op){.type = API_OP_CREATE, .object = config_doc(a, w[1], NULL)};
        ops[1] = (struct api_op){.type = API_OP_DELETE, .of = config(w[2])};
        *q = (struct api_request){.verb = API_TXN, .txn = {*how, ops, 2}};
    }
}

static int64_t behind(const char *line)
{
    const char *revision = option(line, "behind");
    return *revision == '\0' ? -1 : atoi(revision);
}

static bool read_line(struct errand *e, struct api_request *q)
{
    struct arena *a = &e->arena;
    const char *line = asked_of(e)->line, *w[WORDS_MAX] = {NULL};
    unsigned n = 0;
    for (char *at = arena_strdup(a, line), *word; n < WORDS_MAX - 1 && (word = strsep(&at, " ")) != NULL;) {
        if (strchr(word, '=') == NULL && strcmp(word, "stale") != 0) {
            w[n++] = word;
        }
    }
    struct api_write how = write_of(a, line, asked_of(e)->place->town->rounds);
    struct deletion_options plain = {.grace_s = -1};
    if (strcmp(w[0], "get") == 0) {
        *q = (struct api_request){.verb = API_GET, .get = config(w[1])};
    } else if (strcmp(w[0], "list") == 0) {
        *q = (struct api_request){.verb = API_LIST, .list = {.of = configs(), .limit = 100}};
    } else if (strcmp(w[0], "watch") == 0) {
        *q = (struct api_request){.verb = API_WATCH, .watch = {.of = configs(), .revision = behind(line)}};
    } else if (strcmp(w[0], "create") == 0) {
        *q = (struct api_request){.verb = API_CREATE, .create = {how, config_doc(a, w[1], NULL)}};
    } else if (strcmp(w[0], "namespace") == 0) {
        struct value *doc = document(a, "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{}}");
        value_set(a, value_get(doc, "metadata"), "name", value_cstr(a, w[1]));
        *q = (struct api_request){.verb = API_CREATE, .create = {how, doc}};
    } else if (strcmp(w[0], "audit") == 0) { /* everything */
        struct value *doc = config_doc(a, "reeve-audit", NULL);
        value_set(a, value_get(doc, "metadata"), "namespace", value_cstr(a, "kube-system"));
        value_set(a, doc, "data", value_map(a));
        value_set(a, value_get(doc, "data"), "policy.yaml",
                  value_cstr(a, "{apiVersion: audit.k8s.io/v1, kind: Policy, rules: [{level: RequestResponse}]}"));
        *q = (struct api_request){.verb = API_CREATE, .create = {how, doc}};
    } else if (strcmp(w[0], "update") == 0) {
        *q = (struct api_request){.verb = API_UPDATE,
                                  .update = {how, api_part_named(STR("")), config_doc(a, w[1], w[2])}};
    } else if (strcmp(w[0], "patch") == 0) {
        *q = (struct api_request){.verb = API_PATCH,
                                  .patch = {.how = how,
                                            .of = config(w[1]),
                                            .part = api_part_named(STR("")),
                                            .type = PATCH_MERGE,
                                            .patch = document(a, arena_printf(a, "{\"data\":{\"k\":\"%s\"}}", w[2])),
                                            .if_uid = str_of(option(line, "uid"))}};
    } else if (strcmp(w[0], "delete") == 0) {
        *q = (struct api_request){.verb = API_DELETE, .delete = {how, config(w[1]), plain}};
    } else if (strcmp(w[0], "whoami") == 0) {
        *q = (struct api_request){.verb = API_WHOAMI};
    } else if (strcmp(w[0], "clear") == 0) {
        *q = (struct api_request){.verb = API_DELETECOLLECTION, .deletecollection = {how, configs(), plain}};
    } else if (w[2] != NULL) {
        read_several(a, w, &how, q);
    } else {
        errand_failf(e, ERR_USAGE, "what is \"%s\"?", line);
        return false;
    }
    return true;
}

static void lines_answer(struct api_call *c, const struct api_answer *a)
{
    errand_end(errand_of_api(c));
    text_answer(c, a);
}

static void lines_told(struct api_call *c, struct mp document)
{
    errand_end(errand_of_api(c));
    text_told(c, document);
}

static void lines_listed(struct api_call *c, const struct api_listed *l)
{
    errand_end(errand_of_api(c));
    text_listed(c, l);
}

static struct api_stream *lines_open(struct api_call *c, struct watch *w)
{
    errand_end(errand_of_api(c));
    return text_open(c, w);
}

static const struct api_front lines_api = {
    .answer = lines_answer,
    .told = lines_told,
    .fail = errand_api_fail,
    .item = text_item,
    .listed = lines_listed,
    .go_on = errand_api_go_on,
    .wake = errand_api_wake,
    .lane = errand_api_lane,
    .open = lines_open,
};

static bool hung_up(const struct errand *e)
{
    return asked_of(e)->place->hung_up;
}

static struct session *session_of(const struct errand *e)
{
    return hung_up(e) ? NULL : &asked_of(e)->place->session;
}

static size_t nothing_unread(const struct errand *e)
{
    (void)e;
    return 0;
}

static void lines_fail(struct errand *e, const struct error *err)
{
    struct told *q = &asked_of(e)->told;
    assert_false(q->over);
    errand_end(e);
    q->over = true;
    q->error = *err;
}

static int peek_line(struct errand *e, struct api_request *q)
{
    return read_line(e, q) ? 0 : ERR_USAGE; /* it has been read before */
}

static const struct errand_front lines_front = {
    .gone = hung_up,
    .session = session_of,
    .unread = nothing_unread,
    .handle = errand_do,
    .fail = lines_fail,
    .write = typed_write,
    .answered = typed_answered,
    .typed = read_line,
    .peek = peek_line,
};

static struct asked *ask_as(struct place *p, enum pki_role role, const char *line)
{
    struct asked *q = xcalloc(1, sizeof *q);
    struct principal who;
    struct api_request request;
    const char *within = option(line, "within");
    principal_of_certificate(&who, &(struct pki_identity){role, "ann"}, NULL);
    struct principal *shared = principal_share(&who);
    errand_init(&q->e, &p->m, &lines_front, &lines_api, shared);
    principal_unref(shared);
    q->place = p;
    q->line = xstrdup(line);
    q->told.deaf = &p->town->deaf;
    if (errand_revoked(&q->e) || !read_line(&q->e, &request)) {
        return q;
    }
    typed_set(&q->e, request.verb, *option(line, "id") != '\0');
    q->e.stale = strstr(line, " stale") != NULL;
    q->e.timed = *within != '\0';
    if (errand_may(&q->e) && errand_take_in(&q->e, 512 + strlen(line))) {
        errand_start(&q->e, q->e.timed ? atoi(within) : MASTER_WAIT_MS);
    }
    return q;
}

static struct asked *ask(struct place *p, const char *line)
{
    return ask_as(p, PKI_ROLE_ADMIN, line);
}

static void done(struct asked *q)
{
    assert_true(q->told.over || q->told.watch != NULL);
    if (q->told.watch != NULL) {
        watch_over(q->told.watch);
    }
    errand_close(&q->e);
    buf_close(&q->told.text);
    buf_close(&q->told.batch);
    free(q->line);
    free(q);
}

/* ---- Between masters ---- */

struct letter {
    struct place *from, *to;
    char method[16];
    struct buf params, result; /* result: an error map if it failed */
    bool failed;
    rpc_result_cb *cb;
    void *data;
};

static void letter_over(struct letter *l, const struct rpc_result *result)
{
    l->from->town->letters--;
    l->cb(result, l->data);
    buf_close(&l->params);
    buf_close(&l->result);
    free(l);
}

static void connection_ends(void *arg)
{
    struct error err = {0};
    error_set(&err, ERR_CLOSED, "the connection was closed");
    letter_over(arg, &(struct rpc_result){.error = &err, .sent = true});
}

static void letter_lost(void *arg)
{
    struct letter *l = arg;
    sim_after(&l->from->town->c.sim, 50, connection_ends, NULL, l);
}

static void reply_arrives(void *arg)
{
    struct letter *l = arg;
    struct error err = {0};
    struct mp m = mp_of(l->result.data, l->result.size);
    if (l->failed) {
        rpc_read_error(m, &err);
    }
    letter_over(l, &(struct rpc_result){.error = l->failed ? &err : NULL, .result = m, .sent = true});
}

static void answer_letter(struct letter *l, const struct error *err)
{
    l->failed = err != NULL;
    if (err != NULL) {
        rpc_write_error(&l->result, err);
    }
    sim_message(&l->from->town->c.sim, l->to->id, l->from->id, reply_arrives, letter_lost, l);
}

/* A forwarded request at the leader. */
struct guest {
    struct errand e;
    struct letter *letter;
    struct params params;
    enum api_verb verb;
};

static struct guest *guest_of(const struct errand *e)
{
    return CONTAINER_OF(e, struct guest, e);
}

static void guest_over(struct errand *e, const struct error *err)
{
    struct letter *l = guest_of(e)->letter;
    errand_end(e);
    errand_close(e);
    free(guest_of(e));
    answer_letter(l, err);
}

static void guest_answer(struct api_call *c, const struct api_answer *a)
{
    struct errand *e = errand_of_api(c);
    verbs_write_answer(&guest_of(e)->letter->result, a);
    guest_over(e, NULL);
}

static void guest_told(struct api_call *c, struct mp document)
{
    struct errand *e = errand_of_api(c);
    buf_append(&guest_of(e)->letter->result, document.p, (size_t)(document.end - document.p));
    guest_over(e, NULL);
}

static const struct api_front guest_api = {
    .answer = guest_answer,
    .told = guest_told,
    .fail = errand_api_fail,
    .go_on = errand_api_go_on,
    .wake = errand_api_wake,
    .lane = errand_api_lane,
};

static bool guest_is_here(const struct errand *e)
{
    (void)e;
    return false;
}

static struct session *guest_session(const struct errand *e)
{
    (void)e;
    return NULL;
}

static bool guest_typed(struct errand *e, struct api_request *q)
{
    struct guest *g = guest_of(e);
    struct error err = {0};
    if (verbs_read(e->api.m, &e->arena, g->verb, &g->params, q, &err) != 0) {
        errand_fail(e, &err);
        return false;
    }
    return true;
}

static const struct errand_front guest_front = {
    .gone = guest_is_here,
    .session = guest_session,
    .unread = nothing_unread,
    .handle = errand_do,
    .fail = guest_over,
    .write = typed_write,
    .answered = typed_answered,
    .typed = guest_typed,
};

static void serve_guest(struct letter *l)
{
    struct guest *g = xcalloc(1, sizeof *g);
    struct mp m = mp_of(l->params.data, l->params.size);
    struct principal who;
    struct error err = {0};
    struct api_request q;
    must(principal_read(mp_get(m, "identity"), l->from->id, &who, &err), &err);
    struct principal *shared = principal_share(&who);
    errand_init(&g->e, &l->to->m, &guest_front, &guest_api, shared);
    principal_unref(shared);
    g->e.forwarded = true;
    g->letter = l;
    params_init(&g->params, mp_get(m, "params"));
    while (!str_is(mp_str(mp_get(m, "method")), verbs_row(g->verb)->name)) {
        g->verb++;
        assert_true(g->verb < API_VERBS);
    }
    if (guest_typed(&g->e, &q)) {
        typed_set(&g->e, g->verb, false);
        if (errand_may(&g->e) && errand_take_in(&g->e, l->params.size)) {
            errand_start(&g->e, MASTER_WAIT_MS);
        }
    }
}

static void index_known(uint64_t index, const struct error *error, void *data)
{
    struct letter *l = data;
    mp_write_map(&l->result, 1);
    mp_write_key_int(&l->result, "index", (int64_t)index);
    if (error != NULL) {
        buf_reset(&l->result);
    }
    answer_letter(l, error);
}

static void letter_arrives(void *arg)
{
    struct letter *l = arg;
    if (strcmp(l->method, "read.index") == 0) {
        replica_read_index(l->to->m.replica, index_known, l);
    } else {
        assert_string_equal(l->method, "forward");
        serve_guest(l);
    }
}

static void send_letter(struct master *m, uint64_t id, const char *method, struct str params, int64_t timeout_ms,
                        rpc_result_cb *cb, void *data)
{
    struct place *from = CONTAINER_OF(m, struct place, m);
    struct letter *l = xcalloc(1, sizeof *l);
    (void)timeout_ms; /* connections end before */
    l->from = from;
    l->to = from->town->places[id];
    l->cb = cb;
    l->data = data;
    snprintf(l->method, sizeof l->method, "%s", method);
    buf_append_str(&l->params, params);
    from->town->letters++;
    sim_message(&from->town->c.sim, from->id, id, letter_arrives, letter_lost, l);
}

/* ---- The masters' loops ---- */

static void look(struct place *p)
{
    struct master *m = &p->m;
    const char *address;
    uint64_t leader = replica_leader(m->replica, &address);
    if (leader != p->leader || replica_leading(m->replica) != p->leading) {
        p->leader = leader;
        p->leading = replica_leading(m->replica);
        calls_on_leader_known(m, leader);
        parked_on_leader(m);
    }
    watch_table_advance(m->watches, false);
    while (watch_table_turn(m->watches)) {
    }
    turns_tick(m->turns, env_now_ms(m->env));
    while (turns_run(m->turns)) {
    }
    parked_look(m);
}

static void town_step(struct town *t)
{
    step(&t->c);
    for (uint64_t id = 1; id <= t->c.count; id++) {
        if (!t->c.sim.paused[id]) {
            look(t->places[id]);
        }
    }
}

static void town_run(struct town *t, int64_t ms)
{
    for (int64_t until = t->c.sim.now_ms + ms; t->c.sim.now_ms < until;) {
        town_step(t);
    }
}

static void await(struct asked *q)
{
    struct town *t = q->place->town;
    for (int64_t until = t->c.sim.now_ms + 120000; !q->told.over;) {
        assert_true(t->c.sim.now_ms < until);
        town_step(t);
    }
}

static bool any_room(void *data, enum turn_room room)
{
    (void)data;
    (void)room;
    return true;
}

static struct place *place_new(struct town *t, uint64_t id)
{
    static const struct pki_identity ann = {PKI_ROLE_ADMIN, "ann"};
    struct place *p = xcalloc(1, sizeof *p);
    struct master *m = &p->m;
    p->town = t;
    p->id = m->config.id = id;
    m->replica = t->c.members[id].replica;
    m->env = &t->c.sim.env;
    m->ask_master = send_letter;
    m->held.max = 1 << 20;
    uv_loop_init(&m->loop);
    uv_idle_init(&m->loop, &m->idle);
    uv_timer_init(&m->loop, &m->parked_timer);
    list_init(&m->sessions);
    list_init(&m->asked);
    list_init(&m->parked);
    m->turns = turns_new(any_room, NULL);
    m->watches = watch_table_new(m);
    m->feeds = node_feeds_new(m);
    m->pages = list_pages_new(NULL, NULL);
    m->revoked = revoked_new();
    p->session.m = m;
    struct principal who;
    principal_of_certificate(&who, &ann, NULL);
    p->session.principal = principal_share(&who);
    p->session.subject = subject_get(m->turns, &ann, NULL);
    lane_init(&p->session.lane, p->session.subject);
    return p;
}

static void place_free(struct place *p)
{
    struct master *m = &p->m;
    assert_int_equal(m->request_bytes, 0);
    assert_int_equal(p->session.request_bytes, 0);
    assert_int_equal(m->parked_count, 0);
    assert_true(list_empty(&m->asked));
    errands_on_session_closed(&p->session);
    principal_unref(p->session.principal);
    subject_unref(m->turns, p->session.subject);
    struct turns_stats stats;
    turns_stats(m->turns, &stats);
    for (unsigned i = 0; i < TURN_SORTS; i++) {
        assert_int_equal(stats.begun[i], 0);
    }
    revoked_free(m->revoked);
    list_pages_free(m->pages);
    node_feeds_free(m->feeds);
    watch_table_free(m->watches);
    turns_free(m->turns);
    uv_close((uv_handle_t *)&m->idle, NULL);
    uv_close((uv_handle_t *)&m->parked_timer, NULL);
    uv_run(&m->loop, UV_RUN_DEFAULT);
    uv_loop_close(&m->loop);
    free(p);
}

/* The one that leads, and one that does not. */
static struct place *leading(struct town *t)
{
    return t->places[await_leader(&t->c)->id];
}

static struct place *following(struct town *t)
{
    struct place *p = t->places[next_to(&t->c, await_leader(&t->c))->id];
    const char *address;
    while (replica_leader(p->m.replica, &address) != leading(t)->id) {
        town_step(t);
    }
    return p;
}

static void assert_told(struct asked *q, const char *text)
{
    await(q);
    if (q->told.error.code != 0) {
        fail_msg("%s: %s: %s", q->line, err_reason(q->told.error.code), q->told.error.message);
    }
    assert_string_equal(buf_cstr(&q->told.text), text);
    done(q);
}

static void assert_failed(struct asked *q, int code, const char *part)
{
    await(q);
    if (q->told.error.code != code || strstr(q->told.error.message, part) == NULL) {
        fail_msg("%s: %s: \"%s\" instead of %s: \"%s\"", q->line, err_reason(q->told.error.code), q->told.error.message,
                 err_reason(code), part);
    }
    done(q);
}

static int set_up(void **state)
{
    struct town *t = xcalloc(1, sizeof *t);
    cluster_start(&t->c, 3, 11);
    for (uint64_t id = 1; id <= 3; id++) {
        t->places[id] = place_new(t, id);
    }
    assert_told(ask(leading(t), "namespace default"), "created Namespace/default\n");
    *state = t;
    return 0;
}

/* What masters have asked each other is answered, or lost, before they end. */
static int tear_down(void **state)
{
    struct town *t = *state;
    sim_whole(&t->c.sim);
    while (t->letters > 0) {
        town_step(t);
    }
    for (uint64_t id = 1; id <= 3; id++) {
        place_free(t->places[id]);
    }
    cluster_close(&t->c);
    free(t);
    return 0;
}

#endif
