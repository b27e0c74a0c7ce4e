/* What the tables of Job and CronJob share. For proto/kinds alone. */
#ifndef PROTO_KINDS_JOB_H
#define PROTO_KINDS_JOB_H

#include "proto/kinds/workload.h"

extern const struct schema schema_job_template;
void job_fill_spec(struct arena *a, struct value *spec);
/* is_template: of a CronJob; the selector is made later. */
void job_check_spec(const struct value *spec, const struct fpath *p, struct errlist *l);

#endif
