/* rctl image pull, rctl image rm: images that nodes take from registries, or give up. */
#include <inttypes.h>

#include "client/cmd/image.h"

#define WAIT_MS (24 * 3600 * 1000) /* the node gives up long before */

static const struct option_row node_options[] = {OPTION_ROW_NODE};

/* ---- pull ---- */

struct pull {
    struct rctl *r;
    const char *node, *image;
    bool done;
    int told; /* percent, -1 = nothing yet */
};

static void pull_progress(struct pull *p, struct mp payload)
{
    struct str state = mp_str(mp_get(payload, "state"));
    int64_t done = mp_int(mp_get(payload, "doneBytes"), 0), all = mp_int(mp_get(payload, "allBytes"), 0);
    int percent = str_is(state, "unpacking") ? 100 : all <= 0 ? 0 : (int)MIN(done * 100 / all, 100);
    if (state.n == 0 || percent == p->told) {
        return;
    }
    p->told = percent;
    rctl_note(p->r, "%s: %.*s %s: %s of %s", p->node, STR_ARG(state), p->image, image_size_text(&p->r->arena, done),
              all > 0 ? image_size_text(&p->r->arena, all) : "?");
}

static void pull_data(struct mp payload, void *data)
{
    struct pull *p = data;
    struct mp pulled = mp_get(payload, "pulled");
    if (mp_type(pulled) == MP_NONE) {
        pull_progress(p, payload);
        return;
    }
    struct str digest = mp_str(mp_get(pulled, "digest"));
    p->done = true;
    fprintf(p->r->out, "%s: pulled %s, %.19s, %s\n", p->node, p->image, common_cstr(p->r, digest),
            image_size_text(&p->r->arena, mp_int(mp_get(pulled, "sizeBytes"), 0)));
    fflush(p->r->out);
}

static int pull_on(struct rctl *r, const char *node, const char *image, struct error *err)
{
    static const struct api_stream_events events = {.on_data = pull_data};
    struct pull p = {.r = r, .node = node, .image = image, .told = -1};
    struct value *params = value_map(&r->arena);
    struct api_stream *s;
    value_set(&r->arena, params, "node", value_cstr(&r->arena, node));
    value_set(&r->arena, params, "name", value_cstr(&r->arena, image));
    int rc = api_stream_open(r->api, "imagepull", params, &events, &p, &s, err);
    if (rc != 0) {
        return rc;
    }
    struct error end = {0};
    api_ping_start(r->api, false);
    bool over = api_run(r->api, api_stream_ended(s), WAIT_MS);
    int ended = api_stream_close(s, &end);
    api_ping_stop(r->api, false);
    if (p.done) {
        return 0;
    }
    if (ended == 0) {
        error_set(&end, over ? ERR_CLOSED : ERR_TIMEOUT, "the node did not say what became of it");
    }
    *err = end;
    if (end.code == ERR_UNAUTHORIZED) {
        err->code = ERR_FORBIDDEN; /* the registry's word on the node's login: nothing is wrong with who asks here */
    }
    return err->code;
}

/* ---- rm ---- */

static int remove_on(struct rctl *r, const char *node, const char *image, struct error *err)
{
    struct value *params = value_map(&r->arena);
    CLEANUP_REPLY struct api_reply reply = {0};
    value_set(&r->arena, params, "node", value_cstr(&r->arena, node));
    value_set(&r->arena, params, "name", value_cstr(&r->arena, image));
    int rc = api_read(r->api, "imageremove", params, &reply, err);
    if (rc == 0) {
        fprintf(r->out, "%s: %s %s\n", node,
                mp_bool(mp_get(reply.result, "deleted"), true) ? "deleted" : "removed the name", image);
    }
    return rc;
}

/* ---- Both ---- */

typedef int node_fn(struct rctl *r, const char *node, const char *image, struct error *err);

/* Each image on each node. Nodes that have it not do not matter to `rm`, as long as one has it. */
static int each(struct rctl *r, node_fn *fn, const char *what, bool some)
{
    struct error err = {0};
    CLEANUP_LIST struct api_list nodes = {0};
    int code = EXIT_DONE;
    if (r->args.words_count == 0) {
        return rctl_usage(r, "which image? As in: rctl image %s registry.example:5000/web:1.0", what);
    }
    if (rctl_connect(r, &err) != 0 || image_nodes(r, &nodes, &err) != 0) {
        return rctl_fail(r, &err);
    }
    for (unsigned i = 0; i < r->args.words_count; i++) {
        unsigned absent = 0;
        for (unsigned n = 0; n < nodes.count; n++) {
            err = (struct error){0};
            int rc = fn(r, common_cstr(r, nodes.items[n]->name), r->args.words[i], &err);
            absent += rc == ERR_NOT_FOUND;
            if (rc != 0 && !(some && rc == ERR_NOT_FOUND && (absent < nodes.count || n + 1 < nodes.count))) {
                error_wrap(&err, "%s %s on node %s", what, r->args.words[i], common_cstr(r, nodes.items[n]->name));
                int one = rctl_fail(r, &err);
                code = code == EXIT_DONE ? one : code;
            }
        }
    }
    return code;
}

static int run_pull(struct rctl *r)
{
    return each(r, pull_on, "pull", false);
}

static int run_rm(struct rctl *r)
{
    return each(r, remove_on, "rm", opt(r, "node") == NULL || str_is(str_of(opt(r, "node")), "all"));
}

const struct command image_pull = {
    .name = "pull",
    .usage = "IMAGE... [--node NODE]",
    .summary = "Have nodes take images from their registries",
    .examples = "  # on all nodes, with the logins of their registries.yaml\n"
                "  rctl image pull registry.example:5000/web:1.0\n"
                "  rctl image pull nginx:1.25 --node n1\n",
    .options = node_options,
    .options_count = ARRAY_SIZE(node_options),
    .run = run_pull,
};

const struct command image_rm = {
    .name = "rm",
    .alias = "remove",
    .usage = "IMAGE... [--node NODE]",
    .summary = "Delete images from nodes",
    .examples = "  # from all nodes that have it; refused where a container uses it\n"
                "  rctl image rm hello:1.0\n"
                "  rctl image rm sha256:4f53cda18c2b --node n1\n",
    .options = node_options,
    .options_count = ARRAY_SIZE(node_options),
    .run = run_rm,
};
