#!/usr/bin/env bash
# Google's side of a cluster: service accounts, roles, Workload Identity bindings, secrets (without values).
#   k8s/bootstrap-gcp.sh              make what is missing; running it again changes nothing
#   DRY_RUN=1 k8s/bootstrap-gcp.sh    print each command instead; asks Google nothing
# Settings: PROJECT, REGION, NAMESPACE, REPOSITORY. It needs gcloud, signed in as somebody who may do all this.
set -euo pipefail

PROJECT=${PROJECT:-univprepai}
REGION=${REGION:-asia-northeast3}
NAMESPACE=${NAMESPACE:-seedtest}
REPOSITORY=${REPOSITORY:-seedtest}
DRY_RUN=${DRY_RUN:-}

SERVICES=(artifactregistry container iamcredentials secretmanager sqladmin)
SECRETS=(
    seedtest-database-url
    r-irt-plumber-token
    seedtest-aws-access-key-id
    seedtest-aws-secret-access-key
    seedtest-webhook-secret
    prefect-database-url
)

run() {
    if [ -n "$DRY_RUN" ]; then
        printf '%q ' "$@"
        echo
    else
        "$@"
    fi
}

# exists COMMAND…: whether a describe command finds its object. Any other fault than its absence ends the script.
exists() {
    [ -z "$DRY_RUN" ] || return 1
    local told
    if told=$("$@" 2>&1 >/dev/null); then return 0; fi
    case $told in
        *NOT_FOUND* | *"not found"* | *"does not exist"*) return 1 ;;
    esac
    printf 'bootstrap-gcp: %s failed: %s\n' "$*" "$told" >&2
    exit 1
}

email() {
    echo "$1@$PROJECT.iam.gserviceaccount.com"
}

service_account() {
    local name=$1 purpose=$2
    exists gcloud iam service-accounts describe "$(email "$name")" --project="$PROJECT" ||
        run gcloud iam service-accounts create "$name" --project="$PROJECT" --display-name="$purpose"
}

# Adding a binding that is there already changes nothing.
role() {
    local name=$1 role=$2
    run gcloud projects add-iam-policy-binding "$PROJECT" --quiet --condition=None --format=none \
        --member="serviceAccount:$(email "$name")" --role="$role"
}

# The Kubernetes account of the same name may act as Google's.
workload_identity() {
    local name=$1
    run gcloud iam service-accounts add-iam-policy-binding "$(email "$name")" --project="$PROJECT" --quiet \
        --format=none --role=roles/iam.workloadIdentityUser \
        --member="serviceAccount:$PROJECT.svc.id.goog[$NAMESPACE/$name]"
}

secret() {
    local name=$1
    exists gcloud secrets describe "$name" --project="$PROJECT" ||
        run gcloud secrets create "$name" --project="$PROJECT" --replication-policy=user-managed \
            --locations="$REGION"
}

repository() {
    exists gcloud artifacts repositories describe "$REPOSITORY" --project="$PROJECT" --location="$REGION" ||
        run gcloud artifacts repositories create "$REPOSITORY" --project="$PROJECT" --location="$REGION" \
            --repository-format=docker --description="Images of seedtest analytics"
}

if [ -z "$DRY_RUN" ] && ! command -v gcloud >/dev/null; then
    echo "bootstrap-gcp: gcloud is not installed. DRY_RUN=1 prints what it would be asked." >&2
    exit 1
fi

run gcloud services enable --project="$PROJECT" "${SERVICES[@]/%/.googleapis.com}"
repository

service_account seedtest-api "seedtest: API and flows"
role seedtest-api roles/cloudsql.client
workload_identity seedtest-api

service_account eso-secret-accessor "seedtest: External Secrets"
role eso-secret-accessor roles/secretmanager.secretAccessor
workload_identity eso-secret-accessor

for name in "${SECRETS[@]}"; do
    secret "$name"
done

echo
echo "Left to do by hand: give each secret its value, from standard input, so that no shell history keeps it:"
for name in "${SECRETS[@]}"; do
    echo "  gcloud secrets versions add $name --project=$PROJECT --data-file=-"
done
