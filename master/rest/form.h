/* In which form objects are answered: as they are, as rows of a table, as their metadata alone; and in JSON, YAML or
 * protobuf. Pure.
 *
 * Source: Kubernetes API concepts, "Receiving resources as Tables" and "Metadata-only fetches"; metav1.Table. */
#ifndef MASTER_REST_FORM_H
#define MASTER_REST_FORM_H

#include "master/rest/kept.h"
#include "master/rest/options.h"
#include "proto/schema/object.h"

enum rest_form_type { REST_FORM_OBJECT, REST_FORM_TABLE, REST_FORM_PARTIAL, REST_FORM_DISCOVERY };
enum rest_coding { REST_JSON, REST_YAML, REST_PROTOBUF };
struct rest_form {
    enum rest_form_type type;
    enum rest_coding coding;
    const char *version; /* TABLE, PARTIAL: "v1" or "v1beta1" of meta.k8s.io; DISCOVERY: "v2" or "v2beta1" */
};
enum rest_form_allowed {
    REST_MAY_TABLE = 1 << 0,     /* objects of a kind with columns */
    REST_MAY_PARTIAL = 1 << 1,   /* one object */
    REST_MAY_PARTIALS = 1 << 2,  /* several */
    REST_MAY_DISCOVERY = 1 << 3, /* /api and /apis */
    REST_MAY_TEXT = 1 << 4,      /* what is no JSON at all: any type will do */
    REST_MAY_YAML = 1 << 5,
    REST_MAY_PROTOBUF = 1 << 6, /* objects, or their metadata; never rows */
};
#define REST_YAML_TYPE "application/yaml"
/* The best form of an Accept header ("": JSON). False: none of them can be answered (406). */
bool rest_form_choose(struct str accept, unsigned allowed, struct rest_form *out);

/* How one request wants its objects. */
struct rest_view {
    struct rest_form form;
    enum rest_include include; /* TABLE: what rows carry */
    const char *api_version;   /* OBJECT: "apps/v1" */
    int64_t now_ms;            /* wall: for ages */
    struct rest_kept *kept;    /* of committed versions; NULL: nothing is kept */
};
/* An object as the whole of an answer, or as an event's. revision: that it is told with. Of a TABLE a table of one row,
 * with columns or without. In protobuf in its envelope; what is asked for in YAML is JSON here (rest_to_yaml). */
void rest_write_single(struct buf *out, const struct rest_view *v, const struct object *o, uint64_t revision,
                       bool columns);

/* A list: what stands in front of the objects, each of them, and its metadata behind them. In protobuf the beginning
 * has the metadata and how many bytes the items have, so it is written by rest_write_list_sized. */
struct rest_list_end {
    uint64_t revision;
    struct str token; /* empty: no more pages */
    int64_t remaining;
};
void rest_write_list_head(struct buf *out, const struct rest_view *v, const struct kind *k);
void rest_write_list_sized(struct buf *out, const struct rest_view *v, const struct kind *k,
                           const struct rest_list_end *end, size_t items_bytes);
void rest_write_item(struct buf *out, const struct rest_view *v, const struct object *o, bool first);
void rest_write_list_end(struct buf *out, const struct rest_view *v, const struct rest_list_end *end, bool empty);

/* A document of JSON in the other forms. False, and nothing is written: it is none, or protobuf knows no message. */
bool rest_to_yaml(struct buf *out, struct str json);
bool rest_to_protobuf(struct buf *out, struct str json);

#endif
