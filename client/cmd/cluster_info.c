/* rctl cluster-info: what people type first on a cluster they do not know. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "client/cmd/common.h"
#include "client/cmd/resource.h"

static int run_cluster_info(struct rctl *r)
{
    struct error err = {0};
    CLEANUP_REPLY struct api_reply reply = {0};
    if (rctl_connect(r, &err) != 0 || api_read(r->api, "cluster", value_map(&r->arena), &reply, &err) != 0) {
        return rctl_fail(r, &err);
    }
    struct mp m = reply.result;
    int64_t leader = mp_int(mp_get(m, "leader"), 0);
    unsigned masters = 0;
    for (struct mp_iter it = mp_iter(mp_get(m, "members")); mp_next(&it); masters++) {
        struct str address = mp_str(mp_get(it.value, "address"));
        bool leads = leader != 0 && mp_int(mp_get(it.value, "id"), -1) == leader;
        fprintf(r->out, "Reeve master %lld%s is at %.*s\n", (long long)mp_int(mp_get(it.value, "id"), 0),
                leads ? " (leader)" : "", STR_ARG(address));
    }
    fprintf(r->out, "\nCluster \"%.*s\": %u %s, %u %s. \"rctl cluster status\" tells which of them are up.\n",
            STR_ARG(mp_str(mp_get(m, "cluster"))), masters, masters == 1 ? "master" : "masters",
            mp_count(mp_get(m, "nodes")), mp_count(mp_get(m, "nodes")) == 1 ? "node" : "nodes");
    return EXIT_DONE;
}

/* ---- dump ---- */

static const struct option_row dump_options[] = {
    {"output-directory", 0, OPTION_VALUE, NULL, NULL, "DIR", "files below it, not all on standard output"},
    {"namespaces", 0, OPTION_VALUE, NULL, NULL, "NAME,...", "of these; otherwise the one of the context"},
    {"all-namespaces", 'A', OPTION_FLAG, NULL, NULL, NULL, "of all namespaces"},
    {"output", 'o', OPTION_VALUE, "json", NULL, "FORM", "json or yaml"},
};

struct dump {
    struct rctl *r;
    const char *dir; /* NULL: standard output */
    struct print_options form;
};

/* Makes the directories of a path below dir and opens it; standard output without a directory. */
static FILE *dump_open(struct dump *d, const char *path, struct error *err)
{
    if (d->dir == NULL) {
        return d->r->out;
    }
    char *whole = arena_printf(&d->r->arena, "%s/%s", d->dir, path);
    for (char *p = strchr(whole + 1, '/'); p != NULL; p = strchr(p + 1, '/')) {
        *p = '\0';
        mkdir(whole, 0700); /* may be there; whether it works is seen below */
        *p = '/';
    }
    FILE *f = fopen(whole, "we");
    if (f == NULL) {
        error_set_errno(err, errno, "write %s", whole);
    }
    return f;
}

static int dump_close(struct dump *d, FILE *f, const char *path, struct error *err)
{
    bool failed = ferror(f) != 0;
    if (f != d->r->out) {
        failed = fclose(f) != 0 || failed;
    }
    return failed ? error_set(err, ERR_IO, "write %s: not all of it could be written", path) : 0;
}

static int dump_list(struct dump *d, const struct kind *k, const char *ns, struct api_list *list, struct error *err)
{
    struct rctl *r = d->r;
    CLEANUP_BUF struct buf out = BUF_INIT;
    struct api_list_query q = {.kind = k, .ns = ns};
    const char *path = ns == NULL ? arena_printf(&r->arena, "%s.%s", k->plural, opt(r, "output"))
                                  : arena_printf(&r->arena, "%s/%s.%s", ns, k->plural, opt(r, "output"));
    int rc = api_list(r->api, &q, list, err);
    rc = rc != 0 ? rc : print_objects(&r->arena, &out, &d->form, list->items, list->count, false, err);
    FILE *f = rc == 0 ? dump_open(d, path, err) : NULL;
    if (f == NULL) {
        return err->code;
    }
    fputs(f == r->out && d->form.form == PRINT_YAML && r->documents++ > 0 ? "---\n" : "", f);
    fwrite(out.data, 1, out.size, f);
    return dump_close(d, f, path, err);
}

static void log_text(struct str text, void *data)
{
    fwrite(text.p, 1, text.n, data);
}

/* The logs of all containers of a pod; those that are not to be had say why. */
static int dump_logs(struct dump *d, const struct object *pod, struct error *err)
{
    static const char *const lists[] = {"spec.initContainers", "spec.containers"};
    static const struct api_log_events events = {.on_text = log_text};
    struct rctl *r = d->r;
    struct arena *a = &r->arena;
    const char *path = arena_printf(a, "%.*s/%.*s/logs.txt", STR_ARG(pod->ns), STR_ARG(pod->name));
    FILE *f = dump_open(d, path, err);
    if (f == NULL) {
        return err->code;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(lists); i++) {
        for (struct mp_iter it = mp_iter(mp_path(object_mp(pod), lists[i])); mp_next(&it);) {
            struct str name = mp_str(mp_get(it.value, "name"));
            struct value *p = value_map(a);
            struct error why = {0};
            value_set(a, p, "namespace", value_str(a, pod->ns));
            value_set(a, p, "name", value_str(a, pod->name));
            value_set(a, p, "container", value_str(a, name));
            fprintf(f, "==== START logs for container %.*s of pod %.*s/%.*s ====\n", STR_ARG(name), STR_ARG(pod->ns),
                    STR_ARG(pod->name));
            struct api_log *l = api_log_open(r->api, p, &events, f);
            api_run(r->api, api_log_ended(l), 0);
            if (api_log_close(l, &why) != 0) {
                fprintf(f, "%s\n", why.message);
            }
            fprintf(f, "==== END logs for container %.*s of pod %.*s/%.*s ====\n", STR_ARG(name), STR_ARG(pod->ns),
                    STR_ARG(pod->name));
        }
    }
    return dump_close(d, f, path, err);
}

/* What is running, with its events and logs; neither Secrets nor ConfigMaps, which may hold what is nobody's
 * business. */
static int dump_namespace(struct dump *d, const char *ns, struct error *err)
{
    const struct kind *all[RESOURCE_ALL_MAX];
    CLEANUP_LIST struct api_list events = {0}, pods = {0};
    int rc = dump_list(d, kind_by_id(KIND_EVENT), ns, &events, err);
    for (unsigned i = resource_all(all); i-- > 0 && rc == 0;) {
        CLEANUP_LIST struct api_list others = {0};
        rc = dump_list(d, all[i], ns, all[i]->id == KIND_POD ? &pods : &others, err);
    }
    for (unsigned i = 0; i < pods.count && rc == 0; i++) {
        rc = dump_logs(d, pods.items[i], err);
    }
    return rc;
}

static int run_dump(struct rctl *r)
{
    struct error err = {0};
    struct dump d = {.r = r, .dir = opt(r, "output-directory")};
    int code;
    if (!common_form_valid(r, &code) || print_parse_form(&r->arena, opt(r, "output"), NULL, &d.form, &err) != 0) {
        return code;
    }
    d.dir = d.dir != NULL && strcmp(d.dir, "-") == 0 ? NULL : d.dir;
    CLEANUP_LIST struct api_list nodes = {0}, spaces = {0};
    struct api_list_query q = {.kind = kind_by_id(KIND_NAMESPACE)};
    int rc = rctl_connect(r, &err);
    rc = rc != 0 ? rc : dump_list(&d, kind_by_id(KIND_NODE), NULL, &nodes, &err);
    rc = rc != 0 || !opt_flag(r, "all-namespaces") ? rc : api_list(r->api, &q, &spaces, &err);
    for (unsigned i = 0; i < spaces.count && rc == 0; i++) {
        rc = dump_namespace(&d, common_cstr(r, spaces.items[i]->name), &err);
    }
    const char *names = opt(r, "namespaces") != NULL ? opt(r, "namespaces") : rctl_namespace(r);
    char *save = NULL, *list = opt_flag(r, "all-namespaces") ? NULL : arena_strdup(&r->arena, names);
    for (char *p = list == NULL ? NULL : strtok_r(list, ",", &save); p != NULL && rc == 0;
         p = strtok_r(NULL, ",", &save)) {
        rc = name_is_dns_label(str_of(p)) ? dump_namespace(&d, p, &err)
                                          : error_set(&err, ERR_USAGE, "\"%s\" is no name of a namespace", p);
    }
    if (rc != 0) {
        return common_fail(r, &err);
    }
    if (d.dir != NULL) {
        fprintf(r->out, "Cluster info dumped to %s\n", d.dir);
    }
    return EXIT_DONE;
}

static const struct command cluster_info_dump = {
    .name = "dump",
    .usage = "[--output-directory DIR] [--namespaces NAME,... | -A]",
    .summary = "Nodes, workloads, events and logs, for who looks for a fault; no Secrets",
    .examples = "  rctl cluster-info dump -A --output-directory=dump\n"
                "  rctl cluster-info dump --namespaces=shop,default -o yaml\n",
    .options = dump_options,
    .options_count = ARRAY_SIZE(dump_options),
    .run = run_dump,
};
static const struct command *const cluster_info_subs[] = {&cluster_info_dump, NULL};
const struct command command_cluster_info = {
    .name = "cluster-info",
    .usage = "",
    .summary = "Where the masters are",
    .examples = "  rctl cluster-info\n"
                "  # more of it\n"
                "  rctl cluster status\n",
    .subs = cluster_info_subs,
    .run = run_cluster_info,
    .wordless = true,
};
