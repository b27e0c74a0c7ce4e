/* rctl create job, rctl create cronjob. Source: kubectl create job, create cronjob. */
#include "client/cmd/create.h"
#include "client/cmd/resource.h"

#define INSTANTIATE "cronjob.kubernetes.io/instantiate"

/* ---- job ---- */

static const struct option_row job_options[] = {
    {"image", 0, OPTION_REPEAT, NULL, NULL, "IMAGE", "what to run"},
    {"from", 0, OPTION_VALUE, NULL, NULL, "cronjob/NAME", "run what this CronJob runs, now"},
    OPTION_ROWS_CREATE,
};

/* The pods of --image and the words behind --. */
static void put_pod(struct rctl *r, struct value *job_spec, const char *restart)
{
    struct arena *a = &r->arena;
    struct value *pod = value_ensure_map(a, value_ensure_map(a, job_spec, "template"), "spec");
    create_containers(r, pod, 0);
    value_set(a, value_item(value_get(pod, "containers"), 0), "name", value_cstr(a, r->args.words[0]));
    value_set(a, pod, "restartPolicy", value_cstr(a, restart));
}

/* What the CronJob would make, but for the time: marked as made by hand, and owned by it. */
static struct value *document_from(struct rctl *r, const struct object *cronjob)
{
    static const char *const copied[] = {"labels", "annotations"};
    struct arena *a = &r->arena;
    const struct value *template = value_path(object_to_value(a, cronjob), "spec.jobTemplate");
    struct value *doc = create_document(r, "batch/v1", "Job", r->args.words[0], true),
                 *meta = value_get(doc, "metadata");
    struct value *owner = value_map(a), *owners = value_list(a);
    value_set(a, meta, "namespace", value_str(a, cronjob->ns)); /* where its owner is */
    for (unsigned i = 0; i < ARRAY_SIZE(copied); i++) {
        const struct value *v = value_at(template, "metadata", copied[i], NULL);
        if (value_count(v) > 0) {
            value_set(a, meta, copied[i], value_copy(a, v));
        }
    }
    value_set(a, value_ensure_map(a, meta, "annotations"), INSTANTIATE, value_cstr(a, "manual"));
    value_set(a, owner, "apiVersion", value_cstr(a, cronjob->kind->api_version));
    value_set(a, owner, "kind", value_cstr(a, cronjob->kind->name));
    value_set(a, owner, "name", value_str(a, cronjob->name));
    value_set(a, owner, "uid", value_str(a, cronjob->uid));
    value_set(a, owner, "controller", value_bool(a, true));
    value_append(a, owners, owner);
    value_set(a, meta, "ownerReferences", owners);
    value_set(a, doc, "spec", value_copy(a, value_get(template, "spec")));
    return doc;
}

static int run_from(struct rctl *r, const char *from)
{
    struct error err = {0};
    struct resources res = {0};
    struct object *cronjob = NULL;
    if (args_count(&r->args, "image") > 0 || r->args.has_dash) {
        return rctl_usage(r, "image and command are those of %s; neither goes with --from", from);
    }
    if (resource_parse(&r->arena, (const char *const[]){from}, 1, &res, &err) != 0) {
        return rctl_usage(r, "--from=%s: it takes cronjob/NAME; %s", from, err.message);
    }
    if (res.count != 1 || res.items[0].kind->id != KIND_CRONJOB || res.items[0].name == NULL) {
        return rctl_usage(r, "--from=%s: it takes cronjob/NAME", from);
    }
    if (rctl_connect(r, &err) != 0 || resource_get(r, &res.items[0], rctl_namespace(r), false, &cronjob, &err) != 0) {
        return rctl_fail(r, &err);
    }
    int code = create_made(r, document_from(r, cronjob));
    object_unref(cronjob);
    return code;
}

static int run_job(struct rctl *r)
{
    struct error err = {0};
    if (r->args.dash != 1) {
        return rctl_usage(r, "exactly one name is needed");
    }
    if (opt(r, "from") != NULL) {
        return run_from(r, opt(r, "from"));
    }
    if (args_count(&r->args, "image") != 1) {
        return rctl_usage(r, "which image? one --image=IMAGE, or --from=cronjob/NAME");
    }
    if (common_image("--image", args_at(&r->args, "image", 0), &err) != 0) {
        return rctl_usage(r, "%s", err.message);
    }
    struct value *doc = create_document(r, "batch/v1", "Job", r->args.words[0], true);
    put_pod(r, value_ensure_map(&r->arena, doc, "spec"), "Never");
    return create_made(r, doc);
}

const struct command create_job = {
    .name = "job",
    .usage = "NAME --image=IMAGE [-- COMMAND ARG...] | NAME --from=cronjob/NAME",
    .summary = "Create a Job of an image, or of a CronJob",
    .examples = "  rctl create job hello --image=busybox:1.35 -- echo hello\n"
                "  rctl wait job/hello --for=condition=Complete\n"
                "  rctl logs job/hello\n"
                "  # what a CronJob runs, now\n"
                "  rctl create job backup-now --from=cronjob/backup\n",
    .options = job_options,
    .options_count = ARRAY_SIZE(job_options),
    .run = run_job,
};

/* ---- cronjob ---- */

static const struct option_row cronjob_options[] = {
    {"image", 0, OPTION_REPEAT, NULL, NULL, "IMAGE", "what to run"},
    {"schedule", 0, OPTION_VALUE, NULL, NULL, "SCHEDULE", "when: \"0 3 * * 1-5\", @hourly"},
    {"restart", 0, OPTION_VALUE, "OnFailure", NULL, "POLICY", "OnFailure or Never"},
    OPTION_ROWS_CREATE,
};

static int run_cronjob(struct rctl *r)
{
    struct error err = {0};
    if (r->args.dash != 1) {
        return rctl_usage(r, "exactly one name is needed");
    }
    if (args_count(&r->args, "image") != 1) {
        return rctl_usage(r, "which image? one --image=IMAGE");
    }
    if (common_image("--image", args_at(&r->args, "image", 0), &err) != 0) {
        return rctl_usage(r, "%s", err.message);
    }
    if (opt(r, "schedule") == NULL) {
        return rctl_usage(r, "when? --schedule=\"MINUTE HOUR DAY MONTH WEEKDAY\", such as \"0 3 * * 1-5\"");
    }
    struct arena *a = &r->arena;
    struct value *doc = create_document(r, "batch/v1", "CronJob", r->args.words[0], true);
    struct value *spec = value_ensure_map(a, doc, "spec"), *job = value_ensure_map(a, spec, "jobTemplate");
    value_set(a, spec, "schedule", value_cstr(a, opt(r, "schedule")));
    value_set(a, value_ensure_map(a, job, "metadata"), "name", value_cstr(a, r->args.words[0]));
    put_pod(r, value_ensure_map(a, job, "spec"), opt(r, "restart"));
    return create_made(r, doc);
}

const struct command create_cronjob = {
    .name = "cronjob",
    .alias = "cj",
    .usage = "NAME --image=IMAGE --schedule=SCHEDULE [-- COMMAND ARG...]",
    .summary = "Create a CronJob: a Job at times that a schedule names",
    .examples = "  # each quarter of an hour\n"
                "  rctl create cronjob hello --image=busybox:1.35 --schedule=\"*/15 * * * *\" -- date\n"
                "  rctl get cronjob hello\n"
                "  rctl create job hello-now --from=cronjob/hello\n",
    .options = cronjob_options,
    .options_count = ARRAY_SIZE(cronjob_options),
    .run = run_cronjob,
};
