/* rctl cluster show, rctl cluster set: what holds for the whole cluster (proto/facts/cluster.h). */
#include <stdlib.h>
#include <string.h>

#include "client/cmd/cluster_config.h"
#include "client/cmd/common.h"
#include "proto/facts/cluster.h"

/* *o becomes NULL, and that is no error, if the cluster was made before there was such an object. */
static int read_config(struct rctl *r, struct object **o, struct error *err)
{
    *o = NULL;
    int rc = rctl_connect(r, err);
    rc =
        rc != 0 ? rc : api_get(r->api, kind_by_id(KIND_CLUSTERCONFIGURATION), NULL, CLUSTER_CONFIG_NAME, false, o, err);
    if (rc == ERR_NOT_FOUND) {
        *err = (struct error){0};
        rc = 0;
    }
    return rc;
}

/* ---- show ---- */

static const struct option_row show_options[] = {
    {"output", 'o', OPTION_VALUE, NULL, NULL, "FORM", "json or yaml: the object itself"},
};

static const char *setting_text(struct rctl *r, const struct cluster_setting *s, const struct object *o)
{
    struct mp v = o == NULL ? mp_of(NULL, 0) : mp_path(object_mp(o), s->path);
    if (mp_type(v) == MP_INT) {
        return arena_printf(&r->arena, "%lld", (long long)mp_int(v, 0));
    }
    struct str text = mp_str(v);
    return !str_empty(text) ? common_cstr(r, text) : s->standard != NULL ? s->standard : "<unset>";
}

static int run_show(struct rctl *r)
{
    struct error err = {0};
    int code;
    CLEANUP_OBJECT struct object *o = NULL;
    if (!common_form_valid(r, &code)) {
        return code;
    }
    if (r->args.words_count == 1 && strcmp(r->args.words[0], "admission") == 0) {
        return cluster_show_admission(r);
    }
    if (r->args.words_count > 0) {
        return rctl_usage(r, "\"%s\" is not expected: there is \"admission\", or nothing for the settings",
                          r->args.words[r->args.words_count > 1]);
    }
    if (read_config(r, &o, &err) != 0) {
        return rctl_fail(r, &err);
    }
    if (opt(r, "output") != NULL) {
        common_print_form(r, o != NULL ? print_document(&r->arena, o) : cluster_config_new(&r->arena, ""));
        return EXIT_DONE;
    }
    for (const struct cluster_setting *s = cluster_settings; s->key != NULL; s++) {
        fprintf(r->out, "%-31s%-18s%s\n", arena_printf(&r->arena, "%s:", s->key), setting_text(r, s, o), s->doc);
    }
    struct mp level = o == NULL ? mp_of(NULL, 0) : mp_path(object_mp(o), "status.featureLevel");
    if (mp_type(level) != MP_NONE) {
        fprintf(r->out, "%-31s%-18lld%s\n", "featureLevel:", (long long)mp_int(level, 0), "what all masters can do");
    }
    if (o == NULL) {
        rctl_note(r, "this cluster was made before it had a configuration of its own: these are the defaults");
    }
    return EXIT_DONE;
}

const struct command cluster_show = {
    .name = "show",
    .usage = "[admission] [-o json|yaml]",
    .summary = "What holds for the whole cluster: addresses, ports, names, times; what is asked of objects",
    .examples = "  rctl cluster show\n"
                "  rctl cluster show -o yaml\n"
                "  # what is done to objects on their way in, in that order\n"
                "  rctl cluster show admission\n",
    .options = show_options,
    .options_count = ARRAY_SIZE(show_options),
    .run = run_show,
};

/* ---- set ---- */

static const struct option_row set_options[] = {OPTION_ROW_DRY_RUN, OPTION_ROW_OUTPUT};

static int run_set(struct rctl *r)
{
    struct error err = {0};
    enum dry_run dry;
    CLEANUP_OBJECT struct object *o = NULL, *after = NULL;
    struct value *doc = value_map(&r->arena);
    if (r->args.words_count == 0) {
        return rctl_usage(r, "what? KEY=VALUE; \"rctl cluster show\" has all keys");
    }
    for (unsigned i = 0; i < r->args.words_count; i++) {
        if (cluster_setting_apply(&r->arena, doc, r->args.words[i], &err) != 0) {
            return rctl_usage(r, "%s", err.message);
        }
    }
    if (common_dry_run(r, &dry, &err) != 0) {
        return rctl_usage(r, "%s", err.message);
    }
    if (read_config(r, &o, &err) != 0) {
        return rctl_fail(r, &err);
    }
    /* The words again, on what is there: so a setting can be taken away as well. */
    doc = o != NULL ? object_to_value(&r->arena, o) : cluster_config_new(&r->arena, "");
    if (o == NULL) {
        value_remove(value_get(doc, "spec"), "clusterName");
    }
    for (unsigned i = 0; i < r->args.words_count; i++) {
        if (cluster_setting_apply(&r->arena, doc, r->args.words[i], &err) != 0) {
            return rctl_fail(r, &err);
        }
    }
    int rc;
    if (o == NULL) {
        rc = common_create(r, doc, dry, &after, &err);
    } else {
        struct value *params = value_map(&r->arena);
        value_set(&r->arena, params, "object", doc);
        common_write_params(r, params, dry);
        rc = common_send(r, "update", params, &after, NULL, NULL, &err);
    }
    if (rc != 0) {
        return rctl_fail(r, &err);
    }
    return common_print_object(r, after, "configured", dry);
}

const struct command cluster_set = {
    .name = "set",
    .usage = "KEY=VALUE...",
    .summary = "Change what holds for the whole cluster; KEY= goes back to the default",
    .examples = "  rctl cluster set nodeMonitorGracePeriodSeconds=60\n"
                "  # addresses can change only while no node holds a range of them\n"
                "  rctl cluster set podSubnet=10.128.0.0/9 nodeCIDRMaskSize=22\n",
    .options = set_options,
    .options_count = ARRAY_SIZE(set_options),
    .run = run_set,
};
