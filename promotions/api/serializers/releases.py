"""Releases and what is said about them."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from promotions.api.serializers.bodies import LONGEST, Body
from promotions.api.serializers.promotions import PromotionSerializer
from promotions.models import Release


class ReleaseSerializer(serializers.ModelSerializer[Release]):
    requested_by = serializers.CharField(source="requested_by_name", read_only=True)
    promotions = PromotionSerializer(many=True, read_only=True)
    change_hash = serializers.CharField(read_only=True, help_text="What an approval of the whole is bound to")

    class Meta:
        model = Release
        fields = (
            "id",
            "key",
            "name",
            "kind",
            "rollback_of",
            "reason",
            "requested_by",
            "requested_at",
            "pause",
            "change_hash",
            "promotions",
        )


class ItemRequest(serializers.Serializer[Any]):
    stage = serializers.IntegerField(help_text="The Stage to promote to, by id")
    version = serializers.IntegerField(help_text="The ImageVersion, by id")
    wave = serializers.IntegerField(min_value=1, max_value=99, default=1)


class ItemsRequest(Body):
    items = ItemRequest(many=True, allow_empty=False)


class ReleaseRequest(ItemsRequest):
    name = serializers.CharField(max_length=100)
    reason = serializers.CharField(max_length=LONGEST)
    pause = serializers.IntegerField(
        min_value=0, max_value=7 * 24 * 60, default=0, help_text="Minutes between two waves"
    )
    change_hash = serializers.CharField(
        max_length=64,
        required=False,
        help_text="The hash that the preview gave: other changes are then refused as stale",
    )


class PartSerializer(serializers.Serializer[Any]):
    project = serializers.CharField()
    branch = serializers.CharField()
    wave = serializers.IntegerField()
    stages = serializers.ListField(child=serializers.CharField())
    diff = serializers.CharField()
    problem = serializers.CharField()


class ReleasePreviewSerializer(serializers.Serializer[Any]):
    """`parts` are the commits; `refusals` name the Stage they speak of."""

    change_hash = serializers.CharField()
    parts = PartSerializer(many=True)
    refusals = serializers.ListField(child=serializers.DictField())
