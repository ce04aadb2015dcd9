"""A strict stand-in for Grafana's HTTP API: it refuses what Grafana refuses, and more.

Its data source check logs in to the real database with what the data source holds, as Grafana
does. Bodies may hold the fields of Grafana's published API (that of 13.0) and no others: Grafana
itself ignores a misspelt one in silence. What its frontend makes of a dashboard it cannot tell;
see docs/grafana.md.
"""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg
from psycopg.conninfo import make_conninfo

TOKEN = "glsa_only-for-tests"
VIEWER_TOKEN = "glsa_may-only-look"
UID = re.compile(r"[a-zA-Z0-9_-]{1,40}")

# Field: type, of what Grafana's published API takes.
DATASOURCE = {
    "access": str, "basicAuth": bool, "basicAuthUser": str, "database": str, "isDefault": bool,
    "jsonData": dict, "name": str, "secureJsonData": dict, "type": str, "uid": str, "url": str,
    "user": str, "withCredentials": bool,
}  # fmt: skip
NEW_FOLDER = {"description": str, "parentUid": str, "title": str, "uid": str}
FOLDER = {"description": str, "overwrite": bool, "title": str, "version": int}
DASHBOARD = {
    "UpdatedAt": str, "dashboard": dict, "folderId": int, "folderUid": str, "isFolder": bool,
    "message": str, "overwrite": bool, "userId": int,
}  # fmt: skip


class RefusedError(Exception):
    def __init__(self, code, message, **more):
        super().__init__(message)
        self.code = code
        self.answer = {"message": message, **more}


class FakeGrafana:
    def __init__(self, version="12.4.0"):
        self.version = version
        self.plugins = {"grafana-postgresql-datasource"}
        self.min_refresh_s = 5
        self.datasources, self.folders, self.dashboards = {}, {}, {}
        self.requests = []
        self._healthy = set()
        self._looks_anew = False
        grafana = self

        class Handler(BaseHTTPRequestHandler):
            def _serve(self):
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                grafana.requests.append((self.command, self.path))
                grafana._looks_anew = self.headers.get("X-Grafana-NoCache") == "true"
                try:
                    status, answer = (
                        200,
                        grafana.answer(
                            self.command, self.path, body, self.headers.get("Authorization")
                        ),
                    )
                except RefusedError as error:
                    status, answer = error.code, error.answer
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815  names of http.server

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/grafana"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def writes(self):
        return [request for request in self.requests if request[0] != "GET"]

    def answer(self, method, path, body, authorization):
        if authorization not in (f"Bearer {TOKEN}", f"Bearer {VIEWER_TOKEN}"):
            raise RefusedError(401, "Invalid API key")
        if authorization != f"Bearer {TOKEN}" and method != "GET":
            raise RefusedError(403, "You'll need additional permissions to perform this action.",
                               title="Access denied")  # fmt: skip
        routes = [
            ("GET", r"/frontend/settings", self._settings),
            ("POST", r"/datasources", lambda: self._put_datasource(body, new=True)),
            (
                "GET|PUT",
                r"/datasources/uid/([^/]+)(/health)?",
                lambda uid, health: self._datasource(method, body, uid, health),
            ),
            ("POST", r"/folders", lambda: self._add_folder(body)),
            ("GET|PUT|DELETE", r"/folders/([^/]+)", lambda uid: self._folder(method, body, uid)),
            ("GET", r"/folders/([^/]+)/counts", self._counts),
            ("POST", r"/dashboards/db", lambda: self._put_dashboard(body)),
            (
                "GET",
                r"/dashboards/uid/([^/]+)",
                lambda uid: self._of(self.dashboards, uid, "Dashboard not found"),
            ),
        ]
        for methods, route, serve in routes:
            found = re.fullmatch(f"/grafana/api{route}", path)
            if found and method in methods.split("|"):
                return serve(*found.groups())
        raise RefusedError(404, f"{method} {path} is no route of Grafana")

    def _settings(self):
        return {"buildInfo": {"version": self.version}} if self.version else {}

    def _add_folder(self, body):
        self._demand(body, NEW_FOLDER, "title", "uid")
        if body["uid"] in {**self.folders, **self.dashboards}:
            raise RefusedError(409, "a folder/dashboard with the same uid already exists")
        if body["title"] in {folder["title"] for folder in self.folders.values()}:  # before 11
            raise RefusedError(409, "a folder with the same name already exists")
        self.folders[body["uid"]] = {"version": 1, **body}
        return self.folders[body["uid"]]

    def _folder(self, method, body, uid):
        folder = self._of(self.folders, uid, "folder not found", status="not-found")
        if method == "PUT":
            self._demand(body, FOLDER, "title")
            if not body.get("overwrite") and body.get("version") != folder["version"]:
                raise RefusedError(412, "the folder has been changed by someone else",
                                   status="version-mismatch")  # fmt: skip
            folder |= {"title": body["title"], "version": folder["version"] + 1}
        if method == "DELETE":  # with everything in it
            del self.folders[uid]
            self.dashboards = {
                name: d for name, d in self.dashboards.items() if d["meta"]["folderUid"] != uid
            }
        return folder

    def _counts(self, uid):
        self._of(self.folders, uid, "folder not found", status="not-found")
        within = [d for d in self.dashboards.values() if d["meta"]["folderUid"] == uid]
        return {"alertrule": 0, "dashboard": len(within), "folder": 0, "librarypanel": 0}

    def _datasource(self, method, body, uid, health):
        source = self._of(self.datasources, uid, "Data source not found")
        if health:
            # What was well a moment ago is told again, whatever was changed, unless it looks anew.
            if self._looks_anew or uid not in self._healthy:
                self._log_in(source)
                self._healthy.add(uid)
            return {"status": "OK", "message": "Database Connection OK"}
        if method == "PUT":
            return self._put_datasource(body, new=False)
        return self._shown(source)

    @staticmethod
    def _shown(source):
        shown = {name: part for name, part in source.items() if name != "secureJsonData"}
        return {**shown, "secureJsonFields": dict.fromkeys(source["secureJsonData"], True)}

    def _put_datasource(self, body, *, new):
        self._demand(body, DATASOURCE if new else {**DATASOURCE, "version": int},
                     "uid", "name", "type", "access", "url", "user", "jsonData",
                     "secureJsonData")  # fmt: skip
        others = {s["name"] for uid, s in self.datasources.items() if new or uid != body["uid"]}
        if body["name"] in others or (new and body["uid"] in self.datasources):
            raise RefusedError(409, "data source with the same name already exists")
        if body["access"] not in ("proxy", "direct") or not UID.fullmatch(body["uid"]):
            raise RefusedError(400, "bad request data")
        self.datasources[body["uid"]] = body
        return {"datasource": self._shown(body), "id": 1, "name": body["name"],
                "message": "Datasource added" if new else "Datasource updated"}  # fmt: skip

    def _log_in(self, source):
        if source["type"] not in self.plugins:  # it is stored all the same
            raise RefusedError(404, "Plugin not registered", messageId="plugin.notRegistered",
                               statusCode=404, traceID="")  # fmt: skip
        host, _, port = source["url"].partition(":")
        try:
            dsn = make_conninfo(
                host=host,
                port=port,
                dbname=source["jsonData"]["database"],
                user=source["user"],
                password=source["secureJsonData"]["password"],
                sslmode=source["jsonData"]["sslmode"],
                connect_timeout=60,
            )
            with psycopg.connect(dsn) as conn:
                conn.execute("select 1")
        except psycopg.OperationalError as error:
            raise RefusedError(400, str(error).strip(), status="ERROR") from error

    def _put_dashboard(self, body):
        self._demand(body, DASHBOARD, "dashboard", "folderUid")
        dashboard = body["dashboard"]
        uid = dashboard["uid"]
        if not UID.fullmatch(uid) or not dashboard["title"]:
            raise RefusedError(400, "uid too long, max 40 characters")
        if body["folderUid"] not in self.folders:
            raise RefusedError(400, "folder not found")
        if int(dashboard["refresh"].removesuffix("s")) < self.min_refresh_s:
            raise RefusedError(400, "Dashboard refresh interval is too low")
        if uid in self.folders:  # Grafana keeps both in one table
            raise RefusedError(400, "A folder with that name already exists", status="name-exists")
        if uid in self.dashboards and not body.get("overwrite"):
            raise RefusedError(412, "The dashboard has been changed by someone else",
                               status="version-mismatch")  # fmt: skip
        for panel in dashboard["panels"]:
            self._of(self.datasources, panel["datasource"]["uid"], "unknown data source")
        version = self.dashboards.get(uid, {"dashboard": {"version": 0}})["dashboard"]["version"]
        self.dashboards[uid] = {
            "dashboard": {**dashboard, "id": 1, "version": version + 1},
            "meta": {"folderUid": body["folderUid"]},
        }
        return {"uid": uid, "status": "success", "version": version + 1}

    @staticmethod
    def _demand(body, fields, *needed):
        fits = all(isinstance(value, fields.get(name, ())) for name, value in body.items())
        if not fits or not set(needed) <= set(body):
            raise RefusedError(400, f"bad request data: {sorted(body)}")

    @staticmethod
    def _of(things, uid, message, **more):
        if uid not in things:
            raise RefusedError(404, message, **more)
        return things[uid]
