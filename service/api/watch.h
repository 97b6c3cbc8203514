/*
 * watch: how the streams that follow a run end with it.
 */
#ifndef SERVICE_API_WATCH_H
#define SERVICE_API_WATCH_H

struct run_report;
struct watcher;

/* See `ended` of struct watch_format. */
void watch_show_end(const struct run_report *report, struct watcher *watchers);

#endif
