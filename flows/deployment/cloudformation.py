"""A CloudFormation template with the roles and policies of recipes."""

import json
from typing import Any

from bedrock_sluice.flows.deployment.grants import ROLE_NAMES, Grants

Resource = dict[str, Any]
FORMAT = "2010-09-09"
CONDITION = "ManageLogBucketPolicy"


def make_template(grants: Grants) -> dict[str, Any]:
    """Return the template; its policies are those of `sluice iam`."""
    resources = dict[str, Resource]()
    for role in grants.caller_roles:
        resources[_id(role, "Role")] = _caller_role(role)
    for caller in grants.caller_policies:
        properties = {
            "PolicyDocument": grants.policies[caller.key],
            "Roles": [{"Ref": _id(role, "Role")} for role in caller.roles],
        }
        resources[_id(caller.key)] = {"Type": "AWS::IAM::ManagedPolicy", "Properties": properties}
    for job in grants.job_roles:
        properties = {
            "RoleName": job.name,
            "Path": job.path,
            "AssumeRolePolicyDocument": grants.policies[job.trust_key],
            "Policies": [
                {"PolicyName": key, "PolicyDocument": grants.policies[key]}
                for key in job.policy_keys
            ],
        }
        resources[_id(job.key, "Role")] = {"Type": "AWS::IAM::Role", "Properties": properties}
    for each in grants.bucket_policies:
        properties = {"Bucket": each.bucket, "PolicyDocument": grants.policies[each.key]}
        resources[_id(each.key)] = {
            "Type": "AWS::S3::BucketPolicy",
            "Condition": CONDITION,
            "Properties": properties,
        }
    return {
        "AWSTemplateFormatVersion": FORMAT,
        "Description": "Roles and policies of Sluice, by `sluice deployment cloudformation`",
        "Resources": resources,
        **_parameters(has_buckets=bool(grants.bucket_policies)),
        **_key_statements(grants),
    }


def _key_statements(grants: Grants) -> dict[str, Any]:
    """Outputs with what to add to the policies of models' keys: no stack changes that of a key."""
    outputs = {
        _id(key, "Statement"): {
            "Description": "Add this statement to the policy of the KMS key of the model",
            "Value": json.dumps(statement, separators=(",", ":")),
        }
        for key in grants.model_keys
        for statement in grants.policies[key]["Statement"]
    }
    return {"Outputs": outputs} if outputs else {}


def _parameters(*, has_buckets: bool) -> dict[str, Any]:
    principals = {
        "Type": "CommaDelimitedList",
        "Description": "ARNs of the identities that may assume the roles of who calls Sluice",
    }
    if not has_buckets:
        return {"Parameters": {"Principals": principals}}
    policy = {
        "Type": "String",
        "AllowedValues": ["true", "false"],
        "Default": "false",
        "Description": "Replace the policies of the buckets of the logs; false if they have others",
    }
    return {
        "Parameters": {"Principals": principals, "ReplaceLogBucketPolicy": policy},
        "Conditions": {CONDITION: {"Fn::Equals": [{"Ref": "ReplaceLogBucketPolicy"}, "true"]}},
    }


def _caller_role(role: str) -> Resource:
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": {"Ref": "Principals"}},
        "Action": "sts:AssumeRole",
    }
    trust = {"Version": "2012-10-17", "Statement": [statement]}
    properties = {"RoleName": ROLE_NAMES[role], "AssumeRolePolicyDocument": trust}
    return {"Type": "AWS::IAM::Role", "Properties": properties}


def _id(key: str, suffix: str = "Policy") -> str:
    """Return a logical id, which has letters and digits only."""
    words = "".join(c if c.isalnum() else " " for c in key).split()
    return "".join(word[0].upper() + word[1:] for word in words) + suffix
