/* rctl top: what nodes and pods use of cpu and memory. Source: kubectl top. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client/cmd/common.h"
#include "proto/model/quantity.h"
#include "proto/rpc/api.h"
#include "proto/text/grid.h"

#define MIB (1024 * 1024)

/* One line. */
struct use {
    struct str ns, pod, name;
    int64_t cpu_milli, memory_bytes;
    bool known;
};
struct uses {
    struct arena *a;
    struct use *items;
    unsigned count, cap;
    int64_t missing, period_ms;
    const char *missing_names; /* of some of them; "" = none */
};
enum order { ORDER_NAME, ORDER_CPU, ORDER_MEMORY };

static struct use *add(struct uses *u)
{
    if (u->count == u->cap) {
        u->cap = u->cap == 0 ? 64 : u->cap * 2;
        u->items = xrealloc(u->items, u->cap * sizeof *u->items);
    }
    u->items[u->count] = (struct use){0};
    return &u->items[u->count++];
}

static struct str keep(struct uses *u, struct str s)
{
    return s.n == 0 ? STR_NONE : (struct str){arena_strndup(u->a, s.p, s.n), s.n};
}

/* ---- What the masters say ---- */

static void add_usage(struct use *to, struct mp usage)
{
    int64_t cpu = 0, memory = 0;
    quantity_milli(mp_str(mp_get(usage, "cpu")), &cpu);
    quantity_units(mp_str(mp_get(usage, "memory")), &memory);
    to->cpu_milli += cpu;
    to->memory_bytes += memory;
    to->known = true;
}

static void read_item(struct uses *u, struct mp item, bool containers)
{
    struct str ns = keep(u, mp_str(mp_path(item, "metadata.namespace"))),
               name = keep(u, mp_str(mp_path(item, "metadata.name")));
    struct mp list = mp_get(item, "containers");
    struct use *whole = NULL;
    if (!containers || mp_type(list) != MP_ARRAY) {
        whole = add(u);
        *whole = (struct use){.ns = ns, .name = name};
    }
    if (mp_type(list) != MP_ARRAY) {
        add_usage(whole, mp_get(item, "usage"));
    }
    for (struct mp_iter it = mp_iter(list); mp_next(&it);) {
        struct use *one = whole;
        if (one == NULL) {
            one = add(u);
            *one = (struct use){.ns = ns, .pod = name, .name = keep(u, mp_str(mp_get(it.value, "name")))};
        }
        add_usage(one, mp_get(it.value, "usage"));
    }
}

static void read_missing(struct uses *u, struct mp answer)
{
    CLEANUP_BUF struct buf names = BUF_INIT;
    buf_puts(&names, u->missing_names);
    u->missing += mp_int(mp_get(answer, "missing"), 0);
    for (struct mp_iter it = mp_iter(mp_get(answer, "missingNames")); mp_next(&it) && names.size < 200;) {
        struct str name = mp_str(it.value);
        buf_printf(&names, "%s%.*s", names.size > 0 ? ", " : "", STR_ARG(name));
    }
    u->missing_names = arena_strdup(u->a, buf_cstr(&names));
}

/* All pages. ns NULL: all namespaces. */
static int ask(struct rctl *r, const char *kind, const char *ns, const char *name, bool containers, struct uses *u,
               struct error *err)
{
    struct arena *a = &r->arena;
    struct value *params = value_map(a);
    bool more = true;
    value_set(a, params, "kind", value_cstr(a, kind));
    value_set(a, params, "namespace", ns == NULL ? NULL : value_cstr(a, ns));
    value_set(a, params, "name", name == NULL ? NULL : value_cstr(a, name));
    value_set(a, params, "labelSelector", opt(r, "selector") == NULL ? NULL : value_cstr(a, opt(r, "selector")));
    if (args_given(&r->args, "field-selector")) {
        value_set(a, params, "fieldSelector", value_cstr(a, opt(r, "field-selector")));
    }
    while (more) {
        CLEANUP_REPLY struct api_reply reply = {0};
        int rc = api_read(r->api, "metrics", params, &reply, err);
        if (rc != 0) {
            return rc;
        }
        for (struct mp_iter it = mp_iter(mp_get(reply.result, "items")); mp_next(&it);) {
            read_item(u, it.value, containers);
        }
        read_missing(u, reply.result);
        u->period_ms = mp_int(mp_get(reply.result, "periodMs"), 0);
        struct str token = mp_str(mp_path(reply.result, "metadata.continue"));
        more = token.n > 0;
        value_set(a, params, "continue", more ? value_str(a, token) : NULL);
    }
    return 0;
}

/* ---- Order ---- */

static int compare(const struct use *x, const struct use *y, enum order order)
{
    int64_t a = order == ORDER_CPU ? x->cpu_milli : x->memory_bytes,
            b = order == ORDER_CPU ? y->cpu_milli : y->memory_bytes;
    if (order != ORDER_NAME && a != b) {
        return a > b ? -1 : 1;
    }
    int c = str_cmp(x->ns, y->ns);
    c = c != 0 ? c : str_cmp(x->pod, y->pod);
    return c != 0 ? c : str_cmp(x->name, y->name);
}

static int by_name(const void *a, const void *b)
{
    return compare(a, b, ORDER_NAME);
}
static int by_cpu(const void *a, const void *b)
{
    return compare(a, b, ORDER_CPU);
}
static int by_memory(const void *a, const void *b)
{
    return compare(a, b, ORDER_MEMORY);
}

/* NULL: --sort-by is none of them. */
static int (*order_of(struct rctl *r))(const void *, const void *)
{
    const char *by = opt(r, "sort-by");
    return by == NULL || *by == '\0' || strcmp(by, "name") == 0 ? by_name
           : strcmp(by, "cpu") == 0                             ? by_cpu
           : strcmp(by, "memory") == 0                          ? by_memory
                                                                : NULL;
}

static void sort(struct rctl *r, struct uses *u)
{
    if (u->count > 0) {
        qsort(u->items, u->count, sizeof *u->items, order_of(r));
    }
}

static int check_words(struct rctl *r)
{
    if (order_of(r) == NULL) {
        return rctl_usage(r, "--sort-by is cpu, memory or name, not \"%s\"", opt(r, "sort-by"));
    }
    if (r->args.words_count > 1) {
        return rctl_usage(r, "one name, or none for all");
    }
    if (r->args.words_count == 1 && opt(r, "selector") != NULL) {
        return rctl_usage(r, "a name cannot be combined with -l");
    }
    return EXIT_DONE;
}

/* ---- Tables ---- */

struct table {
    struct arena *a;
    const char **cells;
    unsigned columns, count, cap;
};

static void cell(struct table *t, const char *text)
{
    if (t->count == t->cap) {
        t->cap = t->cap == 0 ? 256 : t->cap * 2;
        t->cells = xrealloc(t->cells, t->cap * sizeof *t->cells);
    }
    t->cells[t->count++] = text;
}

static void cell_str(struct table *t, struct str s)
{
    cell(t, s.n == 0 ? "" : arena_strndup(t->a, s.p, s.n));
}

static void cells_use(struct table *t, const struct use *u)
{
    cell(t, arena_printf(t->a, "%" PRId64 "m", u->cpu_milli));
    cell(t, arena_printf(t->a, "%" PRId64 "Mi", u->memory_bytes / MIB));
}

static void print(struct rctl *r, struct table *t)
{
    CLEANUP_BUF struct buf out = BUF_INIT;
    grid_print(&out, t->cells, t->columns, t->count / t->columns);
    rctl_write(r, &out);
    free(t->cells);
}

/* Nothing to show, but something that there should be samples of. */
static int nothing_known(struct rctl *r, const struct uses *u, const char *what)
{
    struct error err = {0};
    error_set(&err, ERR_NOT_FOUND,
              "what %s use is not known yet (%s%s): nodes measure it every %" PRId64
              " s and have to look twice; try again soon",
              what, u->missing_names, u->missing > 16 ? ", ..." : "", MAX(u->period_ms / 1000, (int64_t)1));
    rctl_fail_here(r, &err);
    return EXIT_FAILED;
}

static void note_missing(struct rctl *r, const struct uses *u, const char *what)
{
    if (u->missing > 0 && u->count > 0) {
        rctl_note(r, "not known yet of %" PRId64 " %s: %s%s", u->missing, what, u->missing_names,
                  u->missing > 16 ? ", ..." : "");
    }
}

/* ---- top pod ---- */

static void pods_table(struct rctl *r, const struct uses *u, bool all, bool containers)
{
    struct table t = {.a = &r->arena, .columns = 3u + all + containers};
    struct use sum = {0};
    if (!opt_flag(r, "no-headers")) {
        static const char *const titles[] = {"NAMESPACE", "POD", "NAME", "CPU(cores)", "MEMORY(bytes)"};
        for (unsigned i = 0; i < ARRAY_SIZE(titles); i++) {
            if ((i != 0 || all) && (i != 1 || containers)) {
                cell(&t, titles[i]);
            }
        }
    }
    for (unsigned i = 0; i < u->count; i++) {
        if (all) {
            cell_str(&t, u->items[i].ns);
        }
        if (containers) {
            cell_str(&t, u->items[i].pod);
        }
        cell_str(&t, u->items[i].name);
        cells_use(&t, &u->items[i]);
        sum.cpu_milli += u->items[i].cpu_milli;
        sum.memory_bytes += u->items[i].memory_bytes;
    }
    for (unsigned line = 0; line < 2 && opt_flag(r, "sum"); line++) {
        for (unsigned i = 0; i < t.columns - 2; i++) {
            cell(&t, "");
        }
        if (line == 0) {
            cell(&t, "________");
            cell(&t, "________");
        } else {
            cells_use(&t, &sum);
        }
    }
    print(r, &t);
}

static int run_top_pod(struct rctl *r)
{
    struct error err = {0};
    bool all = opt_flag(r, "all-namespaces"), containers = opt_flag(r, "containers");
    const char *name = r->args.words_count > 0 ? r->args.words[0] : NULL;
    struct uses u = {.a = &r->arena, .missing_names = ""};
    int code = check_words(r);
    if (code != EXIT_DONE) {
        return code;
    }
    if (name != NULL && all) {
        return rctl_usage(r, "a name is one of a namespace: without -A");
    }
    if (rctl_connect(r, &err) != 0 || ask(r, "Pod", all ? NULL : rctl_namespace(r), name, containers, &u, &err) != 0) {
        free(u.items);
        return common_fail(r, &err);
    }
    if (u.count > 0) {
        sort(r, &u);
        pods_table(r, &u, all, containers);
        note_missing(r, &u, "pods");
    } else if (u.missing > 0) {
        code = nothing_known(r, &u, "pods");
    } else if (all) {
        rctl_note(r, "No resources found");
    } else {
        rctl_note(r, "No resources found in %s namespace.", rctl_namespace(r));
    }
    free(u.items);
    return code;
}

/* ---- top node ---- */

static const struct object *node_named(const struct api_list *nodes, struct str name)
{
    for (unsigned i = 0; i < nodes->count; i++) {
        if (str_eq(nodes->items[i]->name, name)) {
            return nodes->items[i];
        }
    }
    return NULL;
}

static const char *percent(struct rctl *r, int64_t used, int64_t of)
{
    return of <= 0 ? "<unknown>" : arena_printf(&r->arena, "%" PRId64 "%%", used * 100 / of);
}

static void nodes_table(struct rctl *r, const struct uses *u, const struct api_list *nodes)
{
    static const char *const titles[] = {"NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)"};
    struct table t = {.a = &r->arena, .columns = ARRAY_SIZE(titles)};
    const char *of = opt_flag(r, "show-capacity") ? "status.capacity" : "status.allocatable";
    for (unsigned i = 0; i < ARRAY_SIZE(titles) && !opt_flag(r, "no-headers"); i++) {
        cell(&t, titles[i]);
    }
    for (unsigned i = 0; i < u->count; i++) {
        const struct use *one = &u->items[i];
        const struct object *node = node_named(nodes, one->name);
        struct mp room = node == NULL ? mp_of(NULL, 0) : mp_path(object_mp(node), of);
        int64_t cpu = 0, memory = 0;
        quantity_milli(mp_str(mp_get(room, "cpu")), &cpu);
        quantity_units(mp_str(mp_get(room, "memory")), &memory);
        cell_str(&t, one->name);
        cell(&t, one->known ? arena_printf(&r->arena, "%" PRId64 "m", one->cpu_milli) : "<unknown>");
        cell(&t, one->known ? percent(r, one->cpu_milli, cpu) : "<unknown>");
        cell(&t, one->known ? arena_printf(&r->arena, "%" PRId64 "Mi", one->memory_bytes / MIB) : "<unknown>");
        cell(&t, one->known ? percent(r, one->memory_bytes, memory) : "<unknown>");
    }
    print(r, &t);
}

static bool is_known(const struct uses *u, unsigned count, struct str name)
{
    for (unsigned i = 0; i < count; i++) {
        if (str_eq(u->items[i].name, name)) {
            return true;
        }
    }
    return false;
}

static int list_nodes(struct rctl *r, const char *name, struct api_list *out, struct error *err)
{
    struct object *o;
    if (name == NULL) {
        struct api_list_query q = {.kind = kind_by_id(KIND_NODE), .label_selector = opt(r, "selector")};
        return api_list(r->api, &q, out, err);
    }
    int rc = api_get(r->api, kind_by_id(KIND_NODE), "", name, false, &o, err);
    if (rc == 0) {
        common_add_object(out, o);
    }
    return rc;
}

static int run_top_node(struct rctl *r)
{
    struct error err = {0};
    const char *name = r->args.words_count > 0 ? r->args.words[0] : NULL;
    struct uses u = {.a = &r->arena, .missing_names = ""};
    CLEANUP_LIST struct api_list nodes = {0};
    int code = check_words(r);
    if (code != EXIT_DONE) {
        return code;
    }
    if (rctl_connect(r, &err) != 0 || list_nodes(r, name, &nodes, &err) != 0 ||
        ask(r, "Node", NULL, name, false, &u, &err) != 0) {
        free(u.items);
        return common_fail(r, &err);
    }
    unsigned known = u.count;
    for (unsigned i = 0; i < nodes.count && known > 0 && u.missing > 0; i++) {
        if (!is_known(&u, known, nodes.items[i]->name)) {
            add(&u)->name = nodes.items[i]->name;
        }
    }
    if (u.count > 0) {
        sort(r, &u);
        nodes_table(r, &u, &nodes);
    } else if (u.missing > 0) {
        code = nothing_known(r, &u, "nodes");
    } else {
        rctl_note(r, "No resources found");
    }
    free(u.items);
    return code;
}

#define OPTION_ROWS_TOP                                                                                                \
    OPTION_ROW_SELECTOR, {"no-headers", 0, OPTION_FLAG, NULL, NULL, NULL, "no titles above the columns"},              \
        {"sort-by", 0, OPTION_VALUE, NULL, NULL, "cpu|memory", "those that use most first; otherwise by name"},        \
    {                                                                                                                  \
        "use-protocol-buffers", 0, OPTION_FLAG, NULL, NULL, NULL, "taken for the sake of scripts"                      \
    }

static const struct option_row node_options[] = {
    OPTION_ROWS_TOP,
    {"show-capacity", 0, OPTION_FLAG, NULL, NULL, NULL, "percent of what the machine has, not of what pods may have"},
};
static const struct option_row pod_options[] = {
    OPTION_ROWS_TOP,
    {"all-namespaces", 'A', OPTION_FLAG, NULL, NULL, NULL, "of all namespaces"},
    {"containers", 0, OPTION_FLAG, NULL, NULL, NULL, "each container by itself"},
    {"field-selector", 0, OPTION_VALUE, NULL, NULL, "SELECTOR", "fields: spec.nodeName=n1"},
    {"sum", 0, OPTION_FLAG, NULL, NULL, NULL, "all of them together, below"},
};

static const struct command top_node = {
    .name = "node",
    .alias = "nodes,no",
    .usage = "[NAME]",
    .summary = "What nodes use of cpu and memory",
    .examples = "  rctl top nodes\n"
                "  rctl top node n1\n",
    .options = node_options,
    .options_count = ARRAY_SIZE(node_options),
    .run = run_top_node,
};
static const struct command top_pod = {
    .name = "pod",
    .alias = "pods,po",
    .usage = "[NAME]",
    .summary = "What pods use of cpu and memory",
    .examples = "  rctl top pods\n"
                "  # those of the whole cluster that use most\n"
                "  rctl top pods -A --sort-by=cpu\n"
                "  rctl top pod hello --containers\n",
    .options = pod_options,
    .options_count = ARRAY_SIZE(pod_options),
    .run = run_top_pod,
};
static const struct command *const top_subs[] = {&top_node, &top_pod, NULL};
const struct command command_top = {
    .name = "top",
    .usage = "node|pod",
    .summary = "What nodes and pods use of cpu and memory",
    .examples = "  rctl top nodes\n"
                "  rctl top pods --sort-by=memory\n",
    .subs = top_subs,
};
