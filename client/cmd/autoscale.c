/* rctl autoscale: a HorizontalPodAutoscaler for a workload. Source: kubectl autoscale. */
#include <string.h>

#include "client/cmd/create.h"
#include "proto/model/quantity.h"

static const struct option_row autoscale_options[] = {
    {"min", 0, OPTION_VALUE, NULL, NULL, "N", "there are never fewer pods (1)"},
    {"max", 0, OPTION_VALUE, NULL, NULL, "N", "there are never more pods"},
    {"cpu", 0, OPTION_VALUE, NULL, NULL, "AMOUNT", "what a pod is to use: 80% of what it requests, or 500m"},
    {"memory", 0, OPTION_VALUE, NULL, NULL, "AMOUNT", "the same of memory: 70%, or 200Mi"},
    {"cpu-percent", 0, OPTION_VALUE, NULL, NULL, "N", "--cpu=N% (old)"},
    {"name", 0, OPTION_VALUE, NULL, NULL, "NAME", "of the autoscaler; otherwise that of what is scaled"},
    OPTION_ROWS_FILES,
    OPTION_ROWS_CREATE,
};

/* What the command line asks for. */
struct wish {
    int64_t least, most; /* least: 0 = not given */
    const char *cpu, *memory;
};

static int read_wish(struct rctl *r, struct wish *w, struct error *err)
{
    int64_t percent;
    const char *cpu = opt(r, "cpu"), *old = opt(r, "cpu-percent");
    *w = (struct wish){.cpu = cpu, .memory = opt(r, "memory")};
    if (opt(r, "max") == NULL) {
        return error_set(err, ERR_USAGE, "how many at most? --max=N");
    }
    if (args_int("max", opt(r, "max"), 1, INT32_MAX, &w->most, err) != 0 ||
        (opt(r, "min") != NULL && args_int("min", opt(r, "min"), 1, INT32_MAX, &w->least, err) != 0)) {
        return err->code;
    }
    if (w->least > w->most) {
        return error_set(err, ERR_USAGE, "--min=%lld is more than --max=%lld", (long long)w->least, (long long)w->most);
    }
    if (cpu != NULL && old != NULL) {
        return error_set(err, ERR_USAGE, "--cpu and --cpu-percent say the same; give one of them");
    }
    if (old != NULL) {
        if (args_int("cpu-percent", old, 1, INT32_MAX, &percent, err) != 0) {
            return err->code;
        }
        w->cpu = arena_printf(&r->arena, "%lld%%", (long long)percent);
    }
    return 0;
}

static int add_metric(struct rctl *r, struct value *spec, const char *name, const char *text, struct error *err)
{
    struct arena *a = &r->arena;
    size_t n = text == NULL ? 0 : strlen(text);
    int64_t amount;
    struct value *metric = value_map(a), *source = value_map(a), *target = value_map(a);
    if (text == NULL) {
        return 0;
    }
    value_set(a, metric, "type", value_cstr(a, "Resource"));
    value_set(a, metric, "resource", source);
    value_set(a, source, "name", value_cstr(a, name));
    value_set(a, source, "target", target);
    if (n > 0 && text[n - 1] == '%') {
        if (args_int(name, arena_strndup(a, text, n - 1), 1, INT32_MAX, &amount, err) != 0) {
            return err->code;
        }
        value_set(a, target, "type", value_cstr(a, "Utilization"));
        value_set(a, target, "averageUtilization", value_int(a, amount));
    } else if (quantity_valid(str_of(text)) && quantity_cmp(str_of(text), STR("0")) > 0) {
        value_set(a, target, "type", value_cstr(a, "AverageValue"));
        value_set(a, target, "averageValue", value_cstr(a, text));
    } else {
        return error_set(err, ERR_USAGE, "--%s is a percentage (80%%) or an amount (500m, 200Mi), not \"%s\"", name,
                         text);
    }
    value_append(a, value_ensure_list(a, spec, "metrics"), metric);
    return 0;
}

static int make(struct rctl *r, const struct kind *k, const char *name, const char *ns, const struct wish *w,
                struct value **out, struct error *err)
{
    struct arena *a = &r->arena;
    struct value *doc = *out =
        create_document(r, kind_by_id(KIND_HORIZONTALPODAUTOSCALER)->api_version, "HorizontalPodAutoscaler",
                        opt(r, "name") != NULL ? opt(r, "name") : name, true);
    struct value *spec = value_ensure_map(a, doc, "spec"), *ref = value_ensure_map(a, spec, "scaleTargetRef");
    if (ns != NULL) {
        value_set(a, value_get(doc, "metadata"), "namespace", value_cstr(a, ns));
    }
    value_set(a, ref, "apiVersion", value_cstr(a, k->api_version));
    value_set(a, ref, "kind", value_cstr(a, k->name));
    value_set(a, ref, "name", value_cstr(a, name));
    if (w->least > 0) {
        value_set(a, spec, "minReplicas", value_int(a, w->least));
    }
    value_set(a, spec, "maxReplicas", value_int(a, w->most));
    int rc = add_metric(r, spec, "cpu", w->cpu, err);
    return rc != 0 ? rc : add_metric(r, spec, "memory", w->memory, err);
}

static int check_kind(const struct kind *k, const char *name, struct error *err)
{
    if (name == NULL) {
        return error_set(err, ERR_USAGE, "which %s? autoscale %s/NAME --max=N", k->singular, k->singular);
    }
    return k->has_scale
               ? 0
               : error_set(err, ERR_USAGE,
                           "cannot autoscale a %s; a Deployment, StatefulSet, ReplicaSet or ReplicationController can",
                           k->name);
}

static int autoscale_one(struct rctl *r, const struct kind *k, const char *name, const char *ns, const struct wish *w)
{
    struct error err = {0};
    struct resource res = {.kind = k, .name = name, .ns = ns};
    CLEANUP_OBJECT struct object *o = NULL;
    struct value *doc;
    if (check_kind(k, name, &err) != 0 ||
        resource_get(r, &res, ns != NULL ? ns : rctl_namespace(r), false, &o, &err) != 0 ||
        make(r, k, name, ns, w, &doc, &err) != 0) {
        return common_fail(r, &err);
    }
    return create_made_as(r, doc, "autoscaled");
}

static int run_autoscale(struct rctl *r)
{
    struct error err = {0};
    struct wish w;
    struct resources res = {0};
    struct manifest m = {0};
    bool files = common_files_given(r);
    if (!files && r->args.words_count == 0) {
        return rctl_usage(r, "what? autoscale TYPE/NAME --max=N");
    }
    int rc = read_wish(r, &w, &err);
    if (rc == 0) {
        rc = files ? common_manifests(r, &m, &err)
                   : resource_parse(&r->arena, r->args.words, r->args.words_count, &res, &err);
    }
    rc = rc != 0 ? rc : rctl_connect(r, &err);
    if (rc != 0) {
        return common_fail(r, &err);
    }
    int code = EXIT_DONE;
    for (unsigned i = 0; i < (files ? m.count : res.count) && code == EXIT_DONE; i++) {
        code = files ? autoscale_one(r, m.items[i].kind, m.items[i].name, m.items[i].ns, &w)
                     : autoscale_one(r, res.items[i].kind, res.items[i].name, res.items[i].ns, &w);
    }
    return code;
}

const struct command command_autoscale = {
    .name = "autoscale",
    .usage = "TYPE/NAME --max=N [--min=N] [--cpu=80%]",
    .summary = "Let a Deployment, ReplicaSet or StatefulSet grow and shrink by what its pods use",
    .examples = "  rctl autoscale deploy/hello --min=2 --max=10 --cpu=80%\n"
                "  rctl autoscale deploy/hello --max=5 --memory=200Mi\n"
                "  # what it does\n"
                "  rctl get hpa\n"
                "  rctl describe hpa hello\n",
    .options = autoscale_options,
    .options_count = ARRAY_SIZE(autoscale_options),
    .run = run_autoscale,
};
