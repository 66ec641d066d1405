{{- define "bouncer.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "bouncer.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains (include "bouncer.name" .) .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "bouncer.name" .) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "bouncer.selectorLabels" -}}
app.kubernetes.io/name: {{ include "bouncer.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "bouncer.labels" -}}
{{ include "bouncer.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "bouncer.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "bouncer.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "bouncer.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "bouncer.isSqlite" -}}
{{- if eq .Values.store.kind "sqlite" }}yes{{ end -}}
{{- end -}}

{{- define "bouncer.replicas" -}}
{{- if kindIs "invalid" .Values.replicas -}}
{{- ternary 1 2 (eq .Values.store.kind "sqlite") -}}
{{- else -}}
{{- int .Values.replicas -}}
{{- end -}}
{{- end -}}

{{- define "bouncer.takesMail" -}}
{{- if or (not .Values.roles) (has "smtp" .Values.roles) }}yes{{ end -}}
{{- end -}}

{{- /* Without an API key /v1 stays on the pod's loopback: bouncer refuses to open it. */ -}}
{{- define "bouncer.apiIsOpen" -}}
{{- $byRole := or (not .Values.roles) (has "api" .Values.roles) -}}
{{- if and $byRole (or .Values.apiKeys.existingSecret.name (dig "api" "keys" list .Values.config)) }}yes{{ end -}}
{{- end -}}

{{- /* Where the URL of PostgreSQL is: name and key of a Secret. */ -}}
{{- define "bouncer.storeSecret" -}}
{{- if .Values.store.existingSecret.name -}}
{{- toYaml .Values.store.existingSecret -}}
{{- else -}}
{{- dict "name" (include "bouncer.fullname" .) "key" "store-url" | toYaml -}}
{{- end -}}
{{- end -}}

{{- /* What was given inline and must not be in a ConfigMap. */ -}}
{{- define "bouncer.inlineSecrets" -}}
{{- $secrets := dict -}}
{{- $url := dig "store" "url" "" .Values.config -}}
{{- if and $url (not .Values.store.existingSecret.name) -}}
{{- $_ := set $secrets "store-url" $url -}}
{{- end -}}
{{- range .Values.config.webhooks -}}
{{- if .secret -}}
{{- $_ := set $secrets (printf "webhook-%s" .name) .secret -}}
{{- end -}}
{{- end -}}
{{- if $secrets -}}{{- toYaml $secrets -}}{{- end -}}
{{- end -}}

{{- /* bouncer.yaml: config, and what the chart knows better. */ -}}
{{- define "bouncer.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- $smtp := default dict $config.smtp -}}
{{- if not $smtp.hostname }}{{ $smtp = omit $smtp "hostname" }}{{ end -}}
{{- $_ := set $smtp "listen" (list (ternary "0.0.0.0:2525" "127.0.0.1:2525" (eq (include "bouncer.takesMail" .) "yes"))) -}}
{{- if .Values.tls.existingSecret -}}
{{- $_ := set $smtp "tls" (dict "certificate" "/run/secrets/bouncer/tls/tls.crt" "key" "/run/secrets/bouncer/tls/tls.key") -}}
{{- end -}}
{{- $_ := set $config "smtp" $smtp -}}
{{- $store := omit (default dict $config.store) "url" -}}
{{- if include "bouncer.isSqlite" . -}}
{{- $_ := set $store "url" "sqlite:////var/lib/bouncer/bouncer.db" -}}
{{- else -}}
{{- $_ := set $store "url_file" "/run/secrets/bouncer/store/url" -}}
{{- end -}}
{{- $_ := set $config "store" $store -}}
{{- $webhooks := list -}}
{{- range $config.webhooks -}}
{{- $folder := ternary "/run/secrets/bouncer/release/webhook-" "/run/secrets/bouncer/webhooks/" (not (empty .secret)) -}}
{{- $webhooks = append $webhooks (merge (omit . "secret") (dict "secret_file" (printf "%s%s" $folder .name))) -}}
{{- end -}}
{{- $_ := set $config "webhooks" $webhooks -}}
{{- $api := default dict $config.api -}}
{{- $_ := set $api "listen" (ternary "0.0.0.0:8025" "127.0.0.1:8025" (eq (include "bouncer.apiIsOpen" .) "yes")) -}}
{{- $_ := set $config "api" $api -}}
{{- $_ := set $config "metrics" (dict "listen" "0.0.0.0:9025") -}}
{{- toYaml $config -}}
{{- end -}}

{{- /* Every fault at once, in the words of the key to set. */ -}}
{{- define "bouncer.check" -}}
{{- $faults := list -}}
{{- if and (include "bouncer.isSqlite" .) (gt (int (include "bouncer.replicas" .)) 1) -}}
{{- $faults = append $faults "replicas: SQLite is one file of one process; set 1, or store.kind: postgresql" -}}
{{- end -}}
{{- if not .Values.config.domains -}}
{{- $faults = append $faults "config.domains: set [{bounce_domain: bounces.example.com, sending_domains: [example.com]}]" -}}
{{- end -}}
{{- if and (include "bouncer.takesMail" .) (not (dig "smtp" "hostname" "" .Values.config)) -}}
{{- $faults = append $faults "config.smtp.hostname: set the name your MX record points at" -}}
{{- end -}}
{{- $url := dig "store" "url" "" .Values.config -}}
{{- if and (include "bouncer.isSqlite" .) (or $url .Values.store.existingSecret.name) -}}
{{- $faults = append $faults "store.kind: a store URL is given, which is used with postgresql only" -}}
{{- end -}}
{{- if not (or (include "bouncer.isSqlite" .) $url .Values.store.existingSecret.name) -}}
{{- $faults = append $faults "store.existingSecret.name: set the Secret that holds the postgresql:// URL" -}}
{{- end -}}
{{- range $n, $webhook := .Values.config.webhooks -}}
{{- if not $webhook.name -}}
{{- $faults = append $faults (printf "config.webhooks.%d.name: set a name; it is the key of its secret" $n) -}}
{{- end -}}
{{- if not (or $webhook.secret $webhook.secret_file $.Values.webhookSecrets.existingSecret) -}}
{{- $faults = append $faults (printf "webhookSecrets.existingSecret: webhook %d has no secret" $n) -}}
{{- end -}}
{{- end -}}
{{- if $faults -}}
{{- fail (printf "\n  %s" (join "\n  " $faults)) -}}
{{- end -}}
{{- end -}}

{{- /* The pod, the same in both forms. */ -}}
{{- define "bouncer.pod" -}}
metadata:
  labels:
    {{- include "bouncer.labels" . | nindent 4 }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    checksum/config: {{ include "bouncer.config" . | sha256sum }}
    {{- with include "bouncer.inlineSecrets" . }}
    checksum/secret: {{ sha256sum . }}
    {{- end }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "bouncer.serviceAccount" . }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ int .Values.terminationGracePeriodSeconds }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    {{- range $key := list "runAsUser" "runAsGroup" "fsGroup" }}
    {{- if not (kindIs "invalid" (index $.Values.securityContext $key)) }}
    {{ $key }}: {{ int (index $.Values.securityContext $key) }}
    {{- end }}
    {{- end }}
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile: {type: RuntimeDefault}
  containers:
    - name: bouncer
      image: {{ include "bouncer.image" . }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args:
        - serve
        - --config
        - /etc/bouncer/bouncer.yaml
        {{- with .Values.roles }}
        - --only
        - {{ join "," . }}
        {{- end }}
      {{- $keys := .Values.apiKeys.existingSecret }}
      env:
        - {name: BOUNCER_CONFIG, value: /etc/bouncer/bouncer.yaml} # for commands run in the pod
        {{- if $keys.name }}
        - name: BOUNCER__API__KEYS
          valueFrom: {secretKeyRef: {name: {{ $keys.name }}, key: {{ $keys.key }}}}
        {{- end }}
        {{- with .Values.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      ports:
        {{- if include "bouncer.takesMail" . }}
        - {name: smtp, containerPort: 2525, protocol: TCP}
        {{- end }}
        {{- if include "bouncer.apiIsOpen" . }}
        - {name: api, containerPort: 8025, protocol: TCP}
        {{- end }}
        - {name: metrics, containerPort: 9025, protocol: TCP}
      startupProbe:
        httpGet: {path: /healthz, port: metrics}
        periodSeconds: 2
        failureThreshold: 150 # a migration of a large store takes its time
      livenessProbe:
        httpGet: {path: /healthz, port: metrics}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      readinessProbe:
        httpGet: {path: /readyz, port: metrics}
        periodSeconds: 5
        timeoutSeconds: 6 # /readyz itself gives the store 5 s
        failureThreshold: 2
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        runAsNonRoot: true
        capabilities: {drop: [ALL]}
        seccompProfile: {type: RuntimeDefault}
      resources:
        {{- toYaml .Values.resources | nindent 8 }}
      volumeMounts:
        - {name: config, mountPath: /etc/bouncer, readOnly: true}
        - {name: tmp, mountPath: /tmp}
        {{- if include "bouncer.isSqlite" . }}
        - {name: data, mountPath: /var/lib/bouncer}
        {{- else }}
        - {name: store, mountPath: /run/secrets/bouncer/store, readOnly: true}
        {{- end }}
        {{- if .Values.tls.existingSecret }}
        - {name: tls, mountPath: /run/secrets/bouncer/tls, readOnly: true}
        {{- end }}
        {{- if .Values.webhookSecrets.existingSecret }}
        - {name: webhooks, mountPath: /run/secrets/bouncer/webhooks, readOnly: true}
        {{- end }}
        {{- if include "bouncer.inlineSecrets" . }}
        - {name: release, mountPath: /run/secrets/bouncer/release, readOnly: true}
        {{- end }}
        {{- with .Values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    - name: config
      configMap: {name: {{ include "bouncer.fullname" . }}}
    - name: tmp
      emptyDir: {sizeLimit: {{ .Values.tmpSizeLimit }}}
    {{- if not (include "bouncer.isSqlite" .) }}
    {{- $store := fromYaml (include "bouncer.storeSecret" .) }}
    - name: store
      secret:
        secretName: {{ $store.name }}
        defaultMode: 0440
        items: [{key: {{ $store.key }}, path: url}]
    {{- end }}
    {{- with .Values.tls.existingSecret }}
    - name: tls
      secret: {secretName: {{ . }}, defaultMode: 0440}
    {{- end }}
    {{- with .Values.webhookSecrets.existingSecret }}
    - name: webhooks
      secret: {secretName: {{ . }}, defaultMode: 0440}
    {{- end }}
    {{- if include "bouncer.inlineSecrets" . }}
    - name: release
      secret: {secretName: {{ include "bouncer.fullname" . }}, defaultMode: 0440}
    {{- end }}
    {{- with .Values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if .Values.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- toYaml .Values.topologySpreadConstraints | nindent 4 }}
  {{- else if not (include "bouncer.isSqlite" .) }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "bouncer.selectorLabels" . | nindent 10 }}
  {{- end }}
{{- end -}}
